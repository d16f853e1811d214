/// Something that one actor of a generated scenario does to the one region that all are about, `ram`.
public struct GeneratedOperation: Sendable, Equatable {
  /// Who does it.
  public enum Doer: Sendable, Equatable {
    /// A thread of the process that owns the region.
    case owner
    /// A process of its own.
    case other
    /// The process that owns the region itself, whose child then reads the region.
    case parent
    /// A child of the process, which was forked before.
    case child
  }

  /// What the machine needs for it.
  public enum Need: Sendable, Hashable {
    /// A contiguous memory area.
    case contiguousArea
    /// A second node.
    case secondNode
  }

  /// The name by which it is asked for, which is also part of the names of scenarios.
  public let name: String
  /// In a few words.
  public let summary: String
  /// Who does it.
  public let doer: Doer
  /// What the machine needs for it.
  public let needs: Set<Need>
  /// Whether the bytes of the region may be others, or gone, afterwards.
  public let changesContents: Bool
  /// Whether they may be if the region's memory is shared.
  public let changesShared: Bool
  /// Whether the process ends, so that no other thread of it may do anything.
  public let endsProcess: Bool
  /// Steps of the owner before any actor begins; `#` is replaced by the number of the operation in its scenario.
  let prelude: [String]
  /// Its steps.
  let steps: [String]

  private init(
    _ name: String, _ summary: String, by doer: Doer = .owner, needs: Set<Need> = [],
    changesContents: Bool = false, changesShared: Bool = false, endsProcess: Bool = false,
    after prelude: [String] = [], _ steps: String...
  ) {
    self.name = name
    self.summary = summary
    self.doer = doer
    self.needs = needs
    self.changesContents = changesContents
    self.changesShared = changesShared
    self.endsProcess = endsProcess
    self.prelude = prelude
    self.steps = steps
  }

  /// The operation of that name.
  public static func named(_ name: String) -> GeneratedOperation? { all.first { $0.name == name } }

  /// All of them, in the order in which they appear in names.
  public static let all = pins + references + addresses + forks + devices + kernel

  private static let pin = "pin: {as: pin-#, region: ram, flags: [write]}"
  private static let longterm = "pin: {as: pin-#, region: ram, flags: [write, longterm]}"

  private static let pins = [
    GeneratedOperation("pin-read", "a short-term pin for reading", "pin: {as: pin-#, region: ram}"),
    GeneratedOperation("pin-write", "a short-term pin for writing", pin),
    GeneratedOperation("pin-longterm", "a long-term pin for writing", longterm),
    GeneratedOperation(
      "longterm-read", "a long-term pin for reading", "pin: {as: pin-#, region: ram, flags: [longterm]}"),
    GeneratedOperation(
      "longterm-slow", "a long-term pin by the slow path",
      "pin: {as: pin-#, region: ram, flags: [write, longterm], entry: slow}"),
    GeneratedOperation(
      "longterm-vfio", "a long-term pin that is charged",
      "pin: {as: pin-#, region: ram, flags: [write, longterm], purpose: vfio}"),
    GeneratedOperation("pin-unpin", "a short-term pin, given back", pin, "unpin: pin-#"),
    GeneratedOperation("longterm-unpin", "a long-term pin, given back", longterm, "unpin: pin-#"),
    GeneratedOperation("unpin", "giving back a short-term pin", after: [pin], "unpin: pin-#"),
    GeneratedOperation("unpin-longterm", "giving back a long-term pin", after: [longterm], "unpin: pin-#"),
    GeneratedOperation(
      "unpin-dirty", "giving back a short-term pin of a page that was written", after: [pin],
      "unpin: {pin: pin-#, dirty: true}"),
    GeneratedOperation(
      "device-write", "a device writes through a long-term pin", changesContents: true, after: [longterm],
      "write: {pin: pin-#, pattern: 9}"),
  ]

  private static let references = [
    GeneratedOperation("get", "references that are kept", "get: {as: get-#, region: ram}"),
    GeneratedOperation(
      "get-put", "references, given back", "get: {as: get-#, region: ram}", "put: get-#"),
    GeneratedOperation(
      "put", "giving back references", after: ["get: {as: get-#, region: ram}"], "put: get-#"),
    GeneratedOperation(
      "get-remote", "references taken by another process, given back", by: .other,
      "get: {as: get-#, region: ram, entry: remote}", "put: get-#"),
  ]

  private static let addresses = [
    GeneratedOperation("read", "loads", "touch: {region: ram, access: read}"),
    GeneratedOperation("write", "stores", changesContents: true, "write: {region: ram, pattern: 7}"),
    GeneratedOperation("unmap", "munmap", changesContents: true, "unmap: ram"),
    GeneratedOperation(
      "dontneed", "MADV_DONTNEED", changesContents: true, "advise: {region: ram, advice: dontneed}"),
    GeneratedOperation(
      "dontneed-write", "MADV_DONTNEED, then stores", changesContents: true,
      "advise: {region: ram, advice: dontneed}", "write: {region: ram, pattern: 5}"),
    GeneratedOperation(
      "populate", "MADV_POPULATE_WRITE", "advise: {region: ram, advice: populate-write}"),
    GeneratedOperation("protect", "mprotect to read only", "protect: {region: ram, protection: r}"),
    GeneratedOperation(
      "map", "another region of the process", "map: {region: more-#, size: 1 pages, populate: true}"),
    GeneratedOperation(
      "nomovable", "MADV_NOMOVABLE, as seed 004 has it", "advise: {region: ram, advice: nomovable}"),
    GeneratedOperation("exit", "the process ends", changesContents: true, endsProcess: true, "exit:"),
  ]

  private static let forks = [
    GeneratedOperation("fork", "fork; the child reads", by: .parent, "fork: child-#"),
    GeneratedOperation(
      "child-read", "loads of a child", by: .child, after: [forking], "touch: {region: ram, access: read}"),
    GeneratedOperation(
      "child-write", "stores of a child", by: .child, changesShared: true, after: [forking],
      "write: {region: ram, pattern: 6}"),
    GeneratedOperation(
      "child-longterm", "a long-term pin of a child", by: .child, after: [forking], longterm),
    GeneratedOperation("child-unmap", "munmap of a child", by: .child, after: [forking], "unmap: ram"),
    GeneratedOperation("child-exit", "a child ends", by: .child, after: [forking], "exit:"),
  ]

  private static let forking = "fork: child-#"
  private static let attaching = ["container: box-#", "attach: {as: nic-#, container: box-#}"]
  private static let mapping = "dma-map: {as: dma-#, container: box-#, region: ram, iova: 0}"

  private static let devices = [
    GeneratedOperation("dma-map", "a mapping for a device", after: attaching, mapping),
    GeneratedOperation(
      "dma-map-unmap", "a mapping for a device, unmapped", after: attaching, mapping,
      "dma-unmap: {container: box-#}"),
    GeneratedOperation(
      "dma-unmap", "unmapping what a device may reach", after: attaching + [mapping],
      "dma-unmap: {container: box-#}"),
    GeneratedOperation(
      "dma-write", "a device stores at its own addresses", changesContents: true,
      after: attaching + [mapping], "write: {device: nic-#, iova: 0, size: 1 pages, pattern: 8}"),
    GeneratedOperation("detach", "the device goes", after: attaching + [mapping], "detach: nic-#"),
  ]

  private static let kernel = [
    GeneratedOperation(
      "offline", "taking the block of the region offline", by: .other,
      "offline: {blocks: [2], passes: 2}"),
    GeneratedOperation(
      "offline-online", "taking it offline, and back", by: .other, "offline: {blocks: [2], passes: 2}",
      "online: {zone: movable}"),
    GeneratedOperation(
      "offline-remove", "taking it offline, and out", by: .other, "offline: {blocks: [2], passes: 2}",
      "remove: {blocks: all}"),
    GeneratedOperation(
      "cma", "an allocation from a CMA area", by: .other, needs: [.contiguousArea],
      "cma-alloc: {as: cma-#, area: camera, size: 4 frames, align-order: 2}"),
    GeneratedOperation(
      "cma-release", "an allocation from a CMA area, given back", by: .other, needs: [.contiguousArea],
      "cma-alloc: {as: cma-#, area: camera, size: 4 frames, align-order: 2}", "cma-release: cma-#"),
    GeneratedOperation(
      "isolate", "taking the pages off their lists, and putting them back", by: .other,
      "isolate: {as: isolated-#, region: ram}", "putback: isolated-#"),
    GeneratedOperation(
      "migrate", "moving the pages to another node", by: .other, needs: [.secondNode],
      "migrate: {region: ram, node: 1}"),
    GeneratedOperation("compact", "compaction", by: .other, "compact:"),
    GeneratedOperation("drain-lru", "draining the LRU batches", by: .other, "drain: lru"),
    GeneratedOperation("drain-pcp", "draining the lists of free pages", by: .other, "drain: pcp"),
    GeneratedOperation(
      "allocate", "an allocation of the kernel, given back", by: .other,
      "allocate: {as: frames-#, order: 1}", "free: frames-#"),
    GeneratedOperation(
      "kill", "a fatal signal to the process", by: .other, "signal: {actor: owner, kind: kill}"),
  ]
}
