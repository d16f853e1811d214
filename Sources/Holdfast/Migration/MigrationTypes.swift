public import SystemPackage

/// Why pages are migrated, in the kernel's order (enum migrate_reason in include/linux/migrate_mode.h).
public enum MigrationReason: Int, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  case compaction, memoryFailure, memoryHotplug, systemCall, mempolicyMbind, numaMisplaced, contigRange
  case longtermPin, demotion

  /// The name that the kernel's trace events print.
  public var description: String {
    [
      "compaction", "memory_failure", "memory_hotplug", "syscall_or_cpuset", "mempolicy_mbind",
      "numa_misplaced", "contig_range", "longterm_pin", "demotion",
    ][rawValue]
  }
}

/// How hard a migration tries (enum migrate_mode in include/linux/migrate_mode.h).
public enum MigrationMode: Hashable, Sendable {
  /// Never waits.
  case async
  /// Waits for page locks, from the fourth pass on. A page under writeback fails at once.
  case syncLight
  /// As `syncLight`; a page under writeback is tried again in each pass, where the kernel would wait for it.
  case sync
  /// As `sync`; the caller copies the contents.
  case syncNoCopy
}

/// The stage of a migration at which a folio stayed where it was.
public enum MigrationStage: Int, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  case allocate, lock, writeback, unmap, references, copy

  /// What the stage does.
  public var description: String {
    ["allocate", "lock", "writeback", "unmap", "references", "copy"][rawValue]
  }
}

/// A folio that could not be moved, as it was when the last attempt ended.
public struct MigrationFailure: Hashable, Sendable, CustomStringConvertible {
  /// The head of the folio.
  public let frame: FrameNumber
  /// Its pages.
  public let pages: Int
  /// Where the attempt ended.
  public let stage: MigrationStage
  /// References that the attempt found.
  public let references: Int
  /// References that the stage expected.
  public let expected: Int
  /// Whether the folio may be pinned for DMA.
  public let maybePinned: Bool

  /// One clause that says why.
  public var description: String {
    switch stage {
    case .allocate: "\(frame): no memory for a target of \(pages) page\(pages == 1 ? "" : "s")"
    case .lock: "\(frame): another thread holds its page lock"
    case .writeback: "\(frame): it is being written back"
    case .unmap: "\(frame): a mapping could not be replaced\(maybePinned ? ", it is pinned" : "")"
    case .references:
      "\(frame): \(references) references where \(expected) were expected"
        + (maybePinned ? ", it is pinned" : "")
    case .copy: "\(frame): its contents could not be copied"
    }
  }
}

/// Result of a call of the migration core.
public struct MigrationOutcome: Sendable {
  /// Folios that were not migrated; `aborted` says whether the call ended early.
  public internal(set) var remaining = 0
  /// The error that ended the call before every folio was tried: ENOMEM.
  public internal(set) var aborted: Errno?
  /// Pages moved.
  public internal(set) var succeededPages = 0
  /// Pages that were tried and stayed.
  public internal(set) var failedPages = 0
  /// Attempts that ended at each stage, by `MigrationStage.rawValue`.
  public internal(set) var attempts = [Int](repeating: 0, count: MigrationStage.allCases.count)
  /// The folios that stayed, at most `failureLimit` of them.
  public internal(set) var failures: [MigrationFailure] = []

  /// Most failures that an outcome describes one by one.
  public static let failureLimit = 32

  /// Whether every folio moved.
  public var isComplete: Bool { remaining == 0 && aborted == nil }

  /// Keeps a failure's description while there is room for it.
  mutating func note(_ failure: MigrationFailure) {
    if failures.count < Self.failureLimit { failures.append(failure) }
  }
}

/// Where migrated folios go.
package enum MigrationTarget {
  /// Newly allocated folios, from a node or, if that is nil, from the source's own.
  case allocate(gfp: GFPFlags, node: Int?)
  /// Small folios that compaction has taken from the free lists.
  case taken(from: CompactionTargets)
}
