/// What a host says about its physical memory at one time.
public struct HostSnapshot: Sendable, Hashable {
  /// The page size in bytes.
  public var pageSize: Int
  /// The kernel release, as from `uname -r`, if /proc/version was there.
  public var kernelRelease: String?
  /// The zones, in the order of zoneinfo.
  public var zones: [HostZone]
  /// The free chunks by zone and order; empty if buddyinfo was not there.
  public var freeBlocks: [HostFreeBlocks]
  /// The pageblocks and free chunks by migratetype; nil if pagetypeinfo, which only root reads, was not
  /// there.
  public var pageTypes: HostPageTypes?
  /// The counters of /proc/vmstat by name.
  public var vmstat: [String: UInt64]
  /// The sizes of /proc/meminfo by name, in KiB.
  public var meminfo: [String: UInt64]
  /// The size of a memory block in bytes.
  public var blockSize: Int
  /// The memory blocks by index.
  public var blocks: [HostMemoryBlock]
  /// Why each optional file was not read.
  public var missing: [HostReadError]

  /// Reads a host, live or saved.
  ///
  /// zoneinfo, block_size_bytes and the memory blocks are required; any other file may be absent or
  /// unreadable and is then in `missing`. No file may be damaged. The numbers of different files may differ,
  /// because a live host changes while it is read; the layout that they describe may not.
  public static func read(from files: HostFiles) throws(HostReadError) -> HostSnapshot {
    try HostSnapshot(HostFileSet(reading: files))
  }
}

extension HostSnapshot {
  /// The pages of a memory block.
  public var pagesPerBlock: Int { blockSize / pageSize }

  /// The frames of a memory block.
  public func frames(of block: HostMemoryBlock) -> Range<Int> {
    block.index * pagesPerBlock..<(block.index + 1) * pagesPerBlock
  }

  /// The zone that a memory block is in, if it is online and in a single one.
  public func zone(of block: HostMemoryBlock) -> HostZone? {
    guard let name = block.zoneName else { return nil }
    return zones.first { $0.name == name && (block.nodes.isEmpty || block.nodes.contains($0.node)) }
  }

  /// Pages that the kernel has not given to a zone's allocator so far.
  ///
  /// A kernel that initialises its page descriptors late counts such pages in `MemTotal` and `MemFree` but in
  /// no zone's `managed`. They are free, not reserved.
  public var deferredPages: Int {
    guard let total = meminfo["MemTotal"] else { return 0 }
    let pages = Int(total << 10 / UInt64(pageSize))
    return max(0, pages - zones.reduce(0) { $0 + $1.managed })
  }
}

extension HostSnapshot {
  /// Parses the files of a host and checks that they describe one machine.
  init(_ set: HostFileSet) throws(HostReadError) {
    pageSize = try set.pageSize()
    zones = try HostZone.parse(zoneinfo: set.required(.zoneinfo), file: set.path(.zoneinfo))
    blockSize = try HostMemoryBlock.parse(
      blockSize: set.required(.blockSize), file: set.path(.blockSize), pageSize: pageSize)
    freeBlocks = []
    if let text = set.texts[.buddyinfo] {
      freeBlocks = try HostFreeBlocks.parse(buddyinfo: text, file: set.path(.buddyinfo))
    }
    if let text = set.texts[.pagetypeinfo] {
      pageTypes = try HostPageTypes.parse(pagetypeinfo: text, file: set.path(.pagetypeinfo))
    }
    vmstat = [:]
    if let text = set.texts[.vmstat] {
      vmstat = try HostCounters.parse(vmstat: text, file: set.path(.vmstat))
    }
    meminfo = [:]
    if let text = set.texts[.meminfo] {
      meminfo = try HostCounters.parse(meminfo: text, file: set.path(.meminfo))
    }
    kernelRelease = set.kernelRelease
    blocks = []
    for index in set.blocks { blocks.append(try Self.block(index, set)) }
    missing = set.missing
    try check(set)
  }

  private static func block(_ index: Int, _ set: HostFileSet) throws(HostReadError) -> HostMemoryBlock {
    func name(_ file: String) -> String { HostFileSet.block(index, file) }
    var zones: [String] = []
    if let text = set.texts[name("valid_zones")] {
      zones = try HostMemoryBlock.parse(validZones: text, file: set.path(name("valid_zones")))
    }
    var isRemovable: Bool?
    if let text = set.texts[name("removable")] {
      isRemovable = try HostMemoryBlock.parse(removable: text, file: set.path(name("removable")))
    }
    return HostMemoryBlock(
      index: index,
      state: try HostMemoryBlock.parse(state: set.required(name("state")), file: set.path(name("state"))),
      validZones: zones,
      physIndex: try HostMemoryBlock.parse(
        physIndex: set.required(name("phys_index")), file: set.path(name("phys_index")), index: index),
      isRemovable: isRemovable,
      nodes: set.nodes[index] ?? [])
  }
}
