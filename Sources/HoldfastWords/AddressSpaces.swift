/// What user space may do with a mapping.
@frozen
public struct Protection: OptionSet, Hashable, Sendable {
  /// The bits of PROT_*.
  public let rawValue: UInt8
  /// Protection with those bits; none is PROT_NONE.
  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// PROT_READ.
  @inlinable public static var read: Protection { Protection(rawValue: 1) }
  /// PROT_WRITE.
  @inlinable public static var write: Protection { Protection(rawValue: 2) }
  /// PROT_EXEC.
  @inlinable public static var execute: Protection { Protection(rawValue: 4) }
  /// PROT_READ and PROT_WRITE.
  @inlinable public static var readWrite: Protection { [.read, .write] }
}

/// The protections that a scenario can name.
public enum ProtectionWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// PROT_NONE.
  case none
  /// PROT_READ.
  case r
  /// PROT_READ and PROT_WRITE.
  case rw

  /// Its bits.
  public var protection: Protection {
    switch self {
    case .none: []
    case .r: .read
    case .rw: .readWrite
    }
  }
}

/// Advice to madvise.
public enum Advice: String, Sendable, Hashable, Codable, CaseIterable {
  /// MADV_DONTNEED: drop the pages.
  case dontNeed = "dontneed"
  /// MADV_POPULATE_READ: fault the pages in for reading.
  case populateRead = "populate-read"
  /// MADV_POPULATE_WRITE: fault the pages in for writing.
  case populateWrite = "populate-write"
  /// MADV_HUGEPAGE: serve faults with huge pages where they fit.
  case hugePage = "hugepage"
  /// MADV_NOHUGEPAGE: never do.
  case noHugePage = "nohugepage"
  /// MADV_PAGEOUT: reclaim the pages.
  case pageOut = "pageout"
  /// MADV_COLD: make the pages the first to be reclaimed.
  case cold
  /// MADV_FREE: the pages may be dropped until they are written again.
  case free
  /// MADV_COLLAPSE: make huge pages now.
  case collapse
  /// MADV_MERGEABLE: equal pages may be merged.
  case mergeable
  /// MADV_UNMERGEABLE: they may not any more.
  case unmergeable
  /// MADV_DONTFORK: children do not get the area.
  case dontFork = "dontfork"
  /// MADV_DOFORK: they do.
  case doFork = "dofork"
  /// MADV_WIPEONFORK: children get the area empty.
  case wipeOnFork = "wipeonfork"
  /// MADV_KEEPONFORK: they get its pages.
  case keepOnFork = "keeponfork"
  /// MADV_REMOVE: drop the pages and what backs them.
  case remove
  /// MADV_NOMOVABLE of seed 004: faults bring in pages that need not be moved for a long-term pin. In no kernel.
  case noMovable = "nomovable"

  /// The number of Linux 6.1 (include/uapi/asm-generic/mman-common.h), or that of seed 004.
  public var number: Int32 {
    switch self {
    case .dontNeed: 4
    case .free: 8
    case .remove: 9
    case .dontFork: 10
    case .doFork: 11
    case .mergeable: 12
    case .unmergeable: 13
    case .hugePage: 14
    case .noHugePage: 15
    case .wipeOnFork: 18
    case .keepOnFork: 19
    case .cold: 20
    case .pageOut: 21
    case .populateRead: 22
    case .populateWrite: 23
    case .collapse: 25
    case .noMovable: 26
    }
  }
}
