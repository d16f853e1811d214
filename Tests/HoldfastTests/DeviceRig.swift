import Testing

@testable import Holdfast

/// A pin rig with a container, and a device in it.
struct DeviceRig {
  let rig: PinRig
  let container: DeviceContainer
  /// The device that is attached first.
  let nic: DeviceGroup

  var machine: Machine { rig.machine }
  var process: Process { rig.process }

  /// A device on a machine of tables with four entries.
  static func device(_ name: String, iommu: UInt32 = 0, isEmulated: Bool = false) -> DeviceDescription {
    DeviceDescription(
      name: name, iommu: iommu, reserved: [0x8_0000...0x8_ffff], pageSizes: 1 << 12 | 1 << 14,
      isEmulated: isEmulated)
  }

  init(
    _ ground: Ground = .normal, policy: PlacementPolicy = .linux6_1, kind: ContainerKind = .type1v2,
    emulated: Bool = false, limit: Int = Machine.mappingLimit,
    _ adjust: (inout MachineConfiguration) -> Void = { _ in }
  ) throws {
    rig = try PinRig(ground, policy: policy, adjust)
    container = try rig.machine.openContainer(kind, mappings: limit)
    nic = try rig.machine.attach(
      Self.device("nic", isEmulated: emulated), to: container, by: rig.process)
  }

  /// Maps pages of the process for the devices, at a page of theirs.
  func map(
    _ start: VirtualAddress, at page: Int, pages: Int, flags: UInt32 = DMAMap.read | DMAMap.write,
    by process: Process? = nil
  ) throws(DeviceError) {
    try machine.mapDMA(
      container, DMAMap(start, at: UInt64(page) << 12, length: UInt64(pages) << 12, flags: flags),
      by: process ?? self.process)
  }

  /// Unmaps pages of the devices' addresses; returns how many pages were mapped.
  @discardableResult
  func unmap(_ page: Int, pages: Int) throws(DeviceError) -> Int {
    let bytes = try machine.unmapDMA(
      container, DMAUnmap(at: UInt64(page) << 12, length: UInt64(pages) << 12), by: process)
    return Int(bytes >> 12)
  }

  /// What the first device reaches, by page.
  func reached(_ page: Int, pages: Int) -> [FrameNumber?] {
    machine.reachedFrames(of: container, iova: UInt64(page) << 12, pages: pages)
  }

  /// What the process has mapped, by page.
  func mapped(_ start: VirtualAddress, pages: Int) -> [FrameNumber?] {
    (0..<pages).map { rig.frame(start + $0 * 4096) }
  }

  /// VmLck in pages.
  var locked: Int { machine.usage(of: process).locked }

  /// Everything that a call which fails must leave as it was; but for the flags of pages, which are marked as accessed when
  /// they are pinned.
  var state: [String] {
    rig.state().filter { !$0.hasPrefix("pfn:") } + machine.mappings(of: container).map { "\($0)" }
      + machine.groups(of: container).map { "\(machine.devices.group($0.id).description)" }
      + [reached(0, pages: 256).map { $0.map { "\($0)" } ?? "-" }.joined()]
  }

  /// Recounts everything, and reports what contradicts the tables.
  func check(_ what: @autoclosure () -> String, sourceLocation: SourceLocation = #_sourceLocation) {
    rig.check(what(), sourceLocation: sourceLocation)
  }
}

/// The error that a body throws, or nil.
func deviceError(_ body: () throws -> Void) -> DeviceError? {
  do {
    try body()
    return nil
  } catch {
    return error as? DeviceError
  }
}
