import Holdfast
import HoldfastScenario

/// The verbs of containers, and of the devices in them.
extension Stage {
  /// Memory that is mapped for devices, under a name.
  struct DeviceMapping {
    let container: OpenContainer
    let iova: UInt64
    let pages: Int
    /// The process that has mapped it.
    let process: String
  }

  func openContainer(
    _ name: String, _ kind: ContainerWord, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    containers[name] = try transferring { () throws(DeviceError) in
      if kind.isIOAddressSpace {
        let opened = try machine.openIOAddressSpace(kind == .iommufd ? .user : .process)
        return OpenContainer(handle: opened.container, shared: opened, process: actor.process)
      }
      let opened = try machine.openContainer(kind == .vfio ? .type1v2 : .type1)
      return OpenContainer(handle: opened, shared: nil, process: actor.process)
    }
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
      try machine.attach(device, to: container.handle, by: process)
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
    let length = UInt64(part.pages * pageSize)
    return try mapping(part.pages, of: container, as: map.name, in: step, by: actor) {
      () throws(DeviceError) in
      if let shared = container.shared {
        let asked = IOMap(at: map.iova?.bytes, length: length, flags: map.access.ioFlags)
        guard map.isFile, let object = part.region.object else {
          return try machine.map(shared, address, asked, by: process)
        }
        let start = part.region.offset + UInt64(part.first * pageSize)
        return try machine.mapFile(shared, object, from: start, asked, by: process)
      }
      let iova = map.iova?.bytes ?? 0
      try machine.mapDMA(
        container.handle, DMAMap(address, at: iova, length: length, flags: map.access.flags), by: process)
      return iova
    }
  }

  func copy(_ copy: Verb.DMACopy, in step: Step, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let (source, target) = (try container(copy.source), try container(copy.target))
    guard let from = source.shared, let to = target.shared else {
      throw .failed(.EINVAL, .argument, "only IO address spaces can be copied from and to")
    }
    return try mapping(
      Int(clamping: copy.range.size.pages), of: target, as: copy.name, in: step, by: actor
    ) { () throws(DeviceError) in
      try machine.copy(
        from: from, at: copy.range.iova.bytes, to: to,
        IOMap(at: copy.iova?.bytes, length: copy.range.size.bytes, flags: copy.access.ioFlags), by: process)
    }
  }

  /// Maps so many pages, and keeps them under a name.
  private func mapping(
    _ pages: Int, of container: OpenContainer, as name: String?, in step: Step, by actor: Scenario.Actor,
    _ map: () throws(DeviceError) -> UInt64
  ) throws(StepStop) -> StepResult {
    let label = step.label ?? "line \(step.location.line)"
    let iova: UInt64
    do throws(DeviceError) { iova = try map() } catch {
      throw stop(error).after(StepResult(requested: Int64(pages), pages: 0))
    }
    pinLabels.append((try process(of: actor).id, machine.now, label, name))
    let mapping = DeviceMapping(container: container, iova: iova, pages: pages, process: actor.process)
    if let name {
      let hold = Hold(process: actor.process, label: label)
      hold.mapping = mapping
      holds[name] = hold
    }
    var done = StepResult(allOf: pages)
    if isVerbose { done.frames = FrameRuns.describe(frames(of: mapping).compactMap(\.self)) }
    return done
  }

  func unmap(
    _ range: Verb.DeviceRange?, of name: String, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let bytes = try unmap(range.map { ($0.iova.bytes, $0.size.bytes) }, of: container(name), by: process)
    return StepResult(pages: Int64(bytes / UInt64(pageSize)))
  }

  private func unmap(
    _ range: (iova: UInt64, length: UInt64)?, of container: OpenContainer, by process: Process
  ) throws(StepStop) -> UInt64 {
    try transferring { () throws(DeviceError) in
      if let shared = container.shared {
        return try machine.unmap(
          shared, at: range?.iova ?? 0, length: range?.length ?? UInt64.max, by: process)
      }
      let unmap =
        range.map { DMAUnmap(at: $0.iova, length: $0.length) }
        ?? DMAUnmap(at: 0, length: 0, flags: DMAUnmap.all)
      return try machine.unmapDMA(container.handle, unmap, by: process)
    }
  }

  /// Unmaps what a name stands for, or a part of it.
  func unmap(_ mapping: DeviceMapping, _ pages: Range<Int>) throws(StepStop) -> StepResult {
    guard let process = processes[mapping.process] else {
      throw StepStop.failed(.ESRCH, .argument, "the process \(mapping.process) has ended")
    }
    let start = mapping.iova + UInt64(pages.lowerBound * pageSize)
    _ = try unmap((start, UInt64(pages.count * pageSize)), of: mapping.container, by: process)
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
    guard
      let device = machine.groups(of: mapping.container.handle).last(where: { machine.translates(for: $0) })
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

  private func container(_ name: String) throws(StepStop) -> OpenContainer {
    guard let opened = containers[name] else {
      throw .failed(.EINVAL, .argument, "the container \(name) is not open")
    }
    return opened
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
      if let shared = opened.shared {
        machine.closeIOAddressSpace(shared, on: processor)
      } else {
        machine.closeContainer(opened.handle, on: processor)
      }
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
    machine.reachedFrames(of: mapping.container.handle, iova: mapping.iova, pages: mapping.pages)
  }

  /// The pages of a mapping that its devices and the memory's owner see in different frames.
  func incoherentPages(of mapping: DeviceMapping) -> [IncoherentPage] {
    let last = mapping.iova + UInt64(mapping.pages * pageSize) - 1
    return machine.incoherentPages(of: mapping.container.handle, in: mapping.iova...last)
  }

  /// Whether a mapping is still there.
  func isThere(_ mapping: DeviceMapping) -> Bool {
    containers.values.contains { $0.handle == mapping.container.handle }
      && machine.mappings(of: mapping.container.handle).contains { $0.iova == mapping.iova }
  }

  /// The pages that have become incoherent since the last call, in a sentence for each mapping.
  func newIncoherence() -> [String] {
    var found: [String] = []
    for (name, hold) in holds.sorted(by: { $0.key < $1.key }) {
      guard let mapping = hold.mapping, isThere(mapping) else { continue }
      let pages = incoherentPages(of: mapping)
      let new = pages.filter { !hold.incoherent.contains($0.iova) }
      hold.incoherent = Set(pages.map(\.iova))
      guard let first = new.first else { continue }
      found.append(
        "incoherent: \(new.count) page\(new.count == 1 ? "" : "s") of \(name) from here on: \(first)")
    }
    return found
  }
}

extension DeviceAccessWord {
  /// The flags of VFIO_IOMMU_MAP_DMA.
  fileprivate var flags: UInt32 {
    switch self {
    case .r: DMAMap.read
    case .w: DMAMap.write
    case .rw: DMAMap.read | DMAMap.write
    }
  }

  /// The flags of IOMMU_IOAS_MAP.
  fileprivate var ioFlags: UInt32 {
    switch self {
    case .r: IOMap.readable
    case .w: IOMap.writeable
    case .rw: IOMap.readable | IOMap.writeable
    }
  }
}
