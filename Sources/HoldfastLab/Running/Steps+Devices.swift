import Holdfast
import HoldfastScenario

/// The verbs of containers, and of the devices in them.
extension Stage {
  /// Memory that is mapped for devices, under a name.
  struct DeviceMapping {
    let container: DeviceContainer
    let iova: UInt64
    let pages: Int
    /// The process that has mapped it, and where the memory is there.
    let process: String
    let address: VirtualAddress
  }

  func openContainer(
    _ name: String, _ kind: ContainerWord, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let opened = try transferring { () throws(DeviceError) in
      try machine.openContainer(kind == .vfio ? .type1v2 : .type1)
    }
    containers[name] = OpenContainer(handle: opened, process: actor.process)
    return StepResult()
  }

  func attach(_ attach: Verb.Attach, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let container = try container(attach.container)
    var device = DeviceDescription(
      name: attach.name, iommu: UInt32(attach.iommu),
      pageSizes: 1 << 12 | UInt64(pageSize << machine.geometry.tableBits), isEmulated: attach.isEmulated)
    if let aperture = attach.aperture { device.aperture = 0...aperture.bytes - 1 }
    devices[attach.name] = try transferring { () throws(DeviceError) in
      try machine.attach(device, to: container, by: process)
    }
    return StepResult()
  }

  func detach(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    machine.detach(try device(name), on: process.processor)
    devices[name] = nil
    return StepResult()
  }

  func map(
    _ map: Verb.DMAMap, of part: Part, in step: Step, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let container = try container(map.container)
    let address = address(of: part)
    let flags: UInt32 =
      switch map.access {
      case .r: DMAMap.read
      case .w: DMAMap.write
      case .rw: DMAMap.read | DMAMap.write
      }
    let label = step.label ?? "line \(step.location.line)"
    do throws(DeviceError) {
      try machine.mapDMA(
        container,
        DMAMap(address, at: map.iova.bytes, length: UInt64(part.pages * pageSize), flags: flags), by: process)
    } catch {
      throw stop(error).after(StepResult(requested: Int64(part.pages), pages: 0))
    }
    pinLabels.append((process.id, machine.now, label, map.name))
    let mapping = DeviceMapping(
      container: container, iova: map.iova.bytes, pages: part.pages, process: actor.process, address: address)
    if let name = map.name {
      let hold = Hold(process: actor.process, label: label)
      hold.mapping = mapping
      holds[name] = hold
    }
    var done = StepResult(allOf: part.pages)
    if isVerbose { done.frames = FrameRuns.describe(frames(of: mapping).compactMap(\.self)) }
    return done
  }

  func unmap(
    _ range: Verb.DeviceRange?, of name: String, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let container = try container(name)
    let unmap =
      range.map { DMAUnmap(at: $0.iova.bytes, length: $0.size.bytes) }
      ?? DMAUnmap(at: 0, length: 0, flags: DMAUnmap.all)
    let bytes = try transferring { () throws(DeviceError) in
      try machine.unmapDMA(container, unmap, by: process)
    }
    return StepResult(pages: Int64(bytes / UInt64(pageSize)))
  }

  /// Unmaps what a name stands for, or a part of it.
  func unmap(_ mapping: DeviceMapping, _ pages: Range<Int>) throws(StepStop) -> StepResult {
    guard let process = processes[mapping.process] else {
      throw StepStop.failed(.ESRCH, .argument, "the process \(mapping.process) has ended")
    }
    _ = try transferring { () throws(DeviceError) in
      try machine.unmapDMA(
        mapping.container,
        DMAUnmap(
          at: mapping.iova + UInt64(pages.lowerBound * pageSize), length: UInt64(pages.count * pageSize)),
        by: process)
    }
    return StepResult(allOf: pages.count)
  }

  // MARK: - Transfers

  func write(_ range: Verb.DeviceRange, by name: String, _ pattern: Pattern) throws(StepStop) -> StepResult {
    try transfer(range, by: name, write: true) { page, frame in store(pattern, page: page, in: frame) }
  }

  func check(_ range: Verb.DeviceRange, by name: String, _ pattern: Pattern) throws(StepStop) -> StepResult {
    try transfer(range, by: name, write: false) { page, frame throws(StepStop) in
      try compare(pattern, page: page, in: frame)
    }
  }

  private func transfer(
    _ range: Verb.DeviceRange, by name: String, write: Bool,
    _ body: (Int, FrameNumber) throws(StepStop) -> Void
  ) throws(StepStop) -> StepResult {
    let device = try device(name)
    return try StepResult.pageByPage(Int(clamping: range.size.pages)) { page throws(StepStop) in
      try body(page, reach(range.iova.bytes + UInt64(page * pageSize), by: device, write: write))
    }
  }

  /// Lets the first device of the container that is not emulated transfer pages of a mapping.
  func transfer(
    _ pages: Range<Int>, of mapping: DeviceMapping, write: Bool,
    _ body: (Int, FrameNumber) throws(StepStop) -> Void
  ) throws(StepStop) -> StepResult {
    guard let device = machine.groups(of: mapping.container).last(where: { machine.translates(for: $0) })
    else {
      throw .skipped("no device of the container does transfers of its own")
    }
    return try StepResult.pageByPage(pages.count) { page throws(StepStop) in
      let index = pages.lowerBound + page
      try body(index, reach(mapping.iova + UInt64(index * pageSize), by: device, write: write))
    }
  }

  private func reach(_ iova: UInt64, by device: DeviceGroup, write: Bool) throws(StepStop) -> FrameNumber {
    try transferring { () throws(DeviceError) in try machine.reach(device, iova: iova, write: write) }
  }

  // MARK: - Names and errors

  private func container(_ name: String) throws(StepStop) -> DeviceContainer {
    guard let opened = containers[name] else {
      throw .failed(.EINVAL, .argument, "the container \(name) is not open")
    }
    return opened.handle
  }

  private func device(_ name: String) throws(StepStop) -> DeviceGroup {
    guard let device = devices[name] else { throw .skipped("the device \(name) is in no container") }
    return device
  }

  /// Closes what a process had open, which happens after its memory has gone.
  func closeContainers(of name: String, on processor: Int) {
    for (container, opened) in containers.sorted(by: { $0.key < $1.key }) where opened.process == name {
      let groups = machine.groups(of: opened.handle)
      devices = devices.filter { !groups.contains($0.value) }
      machine.closeContainer(opened.handle, on: processor)
      containers[container] = nil
    }
  }

  private func transferring<Result>(_ body: () throws(DeviceError) -> Result) throws(StepStop) -> Result {
    do { return try body() } catch { throw stop(error) }
  }

  func stop(_ error: DeviceError) -> StepStop {
    switch error.cause {
    case .pin(let pin): return stop(pin)
    default: break
    }
    let stage: FailureStage =
      switch error.cause {
      case .memlock: .account
      case .noMemory, .tableFull: .allocate
      case .noTranslation, .notPermitted: .address
      default: .argument
      }
    return stop(ErrorNumber(error.errno), stage, error.description)
  }

  // MARK: - Looking

  /// What the devices reach at the pages of a mapping; nil where nothing is.
  func frames(of mapping: DeviceMapping) -> [FrameNumber?] {
    machine.reachedFrames(of: mapping.container, iova: mapping.iova, pages: mapping.pages)
  }

  /// Whether a mapping is still there.
  func isThere(_ mapping: DeviceMapping) -> Bool {
    containers.values.contains { $0.handle == mapping.container }
      && machine.mappings(of: mapping.container).contains { $0.iova == mapping.iova }
  }

  /// The pages that have become incoherent since the last call, in a sentence for each mapping.
  func newIncoherence() -> [String] {
    var found: [String] = []
    for (name, hold) in holds.sorted(by: { $0.key < $1.key }) {
      guard let mapping = hold.mapping, isThere(mapping) else { continue }
      let last = mapping.iova + UInt64(mapping.pages * pageSize) - 1
      let pages = machine.incoherentPages(of: mapping.container, in: mapping.iova...last)
      let new = pages.filter { !hold.incoherent.contains($0.iova) }
      hold.incoherent = Set(pages.map(\.iova))
      guard let first = new.first else { continue }
      found.append(
        "incoherent: \(new.count) page\(new.count == 1 ? "" : "s") of \(name) from here on: \(first)")
    }
    return found
  }
}
