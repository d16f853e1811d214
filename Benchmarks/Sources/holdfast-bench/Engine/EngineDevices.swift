import Holdfast

/// A process with resident memory, and a container with a device that it is mapped for.
private final class EngineContainer: Sendable {
  private let engine: EngineMachine
  private let container: DeviceContainer
  private let start: VirtualAddress
  private let pages: Int

  init(pages: Int, huge: Bool) throws {
    var configuration = MachineConfiguration.bench()
    // The kernel's best published figures are of mainline, which takes huge entries whole.
    configuration.policy = .linuxMainline
    let engine = try EngineMachine(configuration)
    self.engine = engine
    self.pages = pages
    let process = engine.process()
    process.memlockLimit = .max
    start = try engine.machine.map(process, pages: pages)
    let range = AddressRange(start: start, pages: pages)
    if huge { try engine.machine.advise(process, range, .hugePage) }
    try engine.machine.advise(process, range, .populateWrite)
    container = try engine.machine.openContainer()
    try engine.machine.attach(DeviceDescription(name: "nic"), to: container, by: process)
  }

  func map(rounds: Int) throws {
    let machine = engine.machine
    let process = engine.process()
    let length = UInt64(pages * pageSize)
    for _ in 0..<rounds {
      try machine.mapDMA(container, DMAMap(start, at: 1 << 30, length: length), by: process)
      let bytes = try machine.unmapDMA(container, DMAUnmap(at: 1 << 30, length: length), by: process)
      guard bytes == length else { throw WorkFailed("unmapped \(bytes) of \(length) bytes") }
    }
  }
}

extension Contender {
  /// VFIO_IOMMU_MAP_DMA and UNMAP_DMA of resident pages, IOMMU page table and charge included.
  static func engineMap(_ name: String = engine, pages: Int, huge: Bool = false) -> Contender {
    Contender(name) {
      let container = try EngineContainer(pages: pages, huge: huge)
      return Side(unitsPerRound: pages) { _, rounds in try container.map(rounds: rounds) }
    }
  }
}
