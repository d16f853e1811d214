import Interleaving

/// A frame, or a folio by its head, that keeps memory from being taken back, and why.
public struct StuckFrame: Hashable, Sendable, CustomStringConvertible {
  /// What makes it stay.
  public enum Reason: Hashable, Sendable {
    /// Pinned for DMA, with the number of pins as far as the count shows it.
    case pinned(pins: Int)
    /// There are references beside the mappings; `extra` is their number.
    case referenced(extra: Int)
    /// Its page lock is held.
    case locked
    /// The folio is on no LRU list: it is isolated, or it waits in a per-CPU batch.
    case offList
    /// PG_reserved: boot memory or a hole.
    case reserved
    /// A slab of the kernel.
    case slab
    /// A page of page-table entries.
    case pageTable
    /// A driver took it away (PG_offline) and still refers to it.
    case takenAway
    /// Memory of the kernel or a driver: allocated, and of no kind that can be moved.
    case kernel
    /// A huge page of the pool.
    case hugePage
    /// The frame is free, but in a per-CPU list.
    case perCPUList
    /// It has no references and is not free: part of a larger allocation, or in the middle of a change.
    case unsettled
    /// It is movable and only its mappings refer to it; there was no target for it, or no attempt yet.
    case movable
  }

  /// The head of the folio.
  public let frame: FrameNumber
  /// Its frames.
  public let pages: Int
  /// What makes it stay.
  public let reason: Reason
  /// References found.
  public let references: Int
  /// References that its mappings and its page cache account for.
  public let expected: Int
  /// Mappings of it.
  public let mappings: Int
  /// The zone it lies in.
  public let zone: ZoneID
  /// The type of its pageblock.
  public let pageblock: MigrateType

  /// One clause: which frame, why, and the counts that show it.
  public var description: String {
    let what = pages == 1 ? "\(frame)" : "\(frame) (folio of \(pages) pages)"
    let counts = ", \(references) reference\(references == 1 ? "" : "s") where \(expected) are accounted for"
    return
      switch reason
    {
    case .pinned(let pins): "\(what): pinned \(pins == 1 ? "once" : "\(pins) times")\(counts)"
    case .referenced: "\(what): referred to beside its mappings\(counts)"
    case .locked: "\(what): its page lock is held"
    case .offList: "\(what): on no LRU list, so isolated or waiting in a batch\(counts)"
    case .reserved: "\(what): reserved since boot"
    case .slab: "\(what): a slab of the kernel"
    case .pageTable: "\(what): holds page-table entries"
    case .takenAway: "\(what): taken away by a driver that still refers to it"
    case .kernel: "\(what): an allocation that cannot be moved\(counts)"
    case .hugePage: "\(what): a huge page of the pool"
    case .perCPUList: "\(what): free, but in a processor's list"
    case .unsettled: "\(what): not free, though it has no references"
    case .movable: "\(what): movable, but not moved"
    }
  }
}

extension Migration {
  /// Most frames that an error describes one by one.
  package static let describedFrames = 16

  /// Whether a frame is an obstacle to taking its range away: neither free nor unusable.
  ///
  /// - Locks: the caller holds the zone lock, or accepts an answer that may be out of date.
  private func obstructs(_ frame: FrameNumber, memoryOffline: Bool) -> Bool {
    let page = memmap.page(frame)
    switch page.type {
    case .absent, .buddy: return false
    default: return !(memoryOffline && isolation.isGivenUp(page))
    }
  }

  /// The folios of a range that keep it from being taken away: the first of them described, all counted.
  ///
  /// - Parameter memoryOffline: whether poisoned frames, and those that a driver has let go of, are no
  ///   obstacle.
  package func stuckFrames(in range: FrameRange, memoryOffline: Bool) -> (described: [StuckFrame], total: Int)
  {
    var described: [StuckFrame] = []
    var total = 0
    var index = range.start.index
    while index < range.endIndex {
      let frame = FrameNumber(index)
      let page = memmap.page(frame)
      if page.type == .buddy {
        index += 1 << page.order
        continue
      }
      let head = page.isTail ? memmap.head(of: frame) : frame
      let whole = memmap.page(head).isLarge || page.type == .perCPU
      let pages = whole ? 1 << memmap.page(head).order : 1
      if obstructs(head, memoryOffline: memoryOffline) {
        total += 1
        if described.count < Self.describedFrames { described.append(describeStuck(head, pages: pages)) }
      }
      index = max(index + 1, head.index + pages)
    }
    return (described, total)
  }

  /// What keeps a folio where it is, given its head.
  package func describeStuck(_ head: FrameNumber, pages: Int) -> StuckFrame {
    let folio = memmap.page(head)
    let flags = folio.flags
    let references = Int(folio.refcount.load())
    let accounted = folios.expectedReferences(of: head)
    return StuckFrame(
      frame: head, pages: pages,
      reason: stuckReason(head, flags, references: references, expected: accounted.total),
      references: references, expected: accounted.total, mappings: accounted.mappings, zone: folio.zone,
      pageblock: buddy.pageblockType(of: head))
  }

  /// Chooses the reason that describes a folio's flags and counts best.
  private func stuckReason(
    _ head: FrameNumber, _ flags: PageFlags, references: Int, expected: Int
  ) -> StuckFrame.Reason {
    let folio = memmap.page(head)
    if flags.contains(.reserved) { return .reserved }
    if flags.contains(.slab) { return .slab }
    switch folio.type {
    case .table: return .pageTable
    case .offline: return .takenAway
    case .perCPU: return .perCPUList
    default: break
    }
    if references != 0, folios.isMaybePinned(head) {
      let exact = pinRules.countsExactly(folio)
      return .pinned(
        pins: exact
          ? Int(folio.pincount.load())
          : Int(UInt32(bitPattern: Int32(truncatingIfNeeded: references)) / UInt32(bitPattern: pinRules.bias))
      )
    }
    if folio.isHugetlb, references <= expected { return .hugePage }
    if references == 0 { return .unsettled }
    let known = flags.contains(.lru) || folio.mapping != .none || folio.isHugetlb
    guard known else { return .kernel }
    if !flags.contains(.lru), !folio.isHugetlb { return .offList }
    if references > expected { return .referenced(extra: references - expected) }
    return flags.contains(.locked) ? .locked : .movable
  }
}
