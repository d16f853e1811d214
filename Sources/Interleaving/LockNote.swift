/// What protects a field of a row: a part of the field's declaration, checked against the locks that an access holds.
///
/// A set of ranks is a bit for each. Rank zero is no lock's: it is held while nothing else runs, so a field that is
/// written then alone asks for it.
@frozen
public struct LockNote: Equatable, Sendable {
  /// Which accesses a field allows that are not atomic.
  public enum Kind: UInt8, Sendable {
    /// None: it is the word of a lock, or atomic.
    case atomic
    /// Those that hold the locks.
    case guarded
    /// Those of one owner at a time, which no lock shows.
    case owner
    /// Those that hold the locks that protect the row around this one.
    case container
    /// None; an atomic store holds the locks that protect the row around this one.
    case containerAtomic
  }

  /// Which accesses it allows that are not atomic.
  public let kind: Kind
  /// Ranks of which one lock is enough to read.
  public let toRead: UInt32
  /// Ranks of which all locks must be held to write, and not shared.
  public let toWrite: UInt32
  /// Where in the row the lock lies that must be one of them, or -1.
  public let lock: Int
  /// The rank of the lock that the field is.
  public let rank: LockRank

  @_transparent @usableFromInline
  init(
    _ kind: Kind, toRead: UInt32 = 0, toWrite: UInt32 = 0, lock: Int = -1,
    rank: LockRank = LockRank(rawValue: 0)
  ) {
    self.kind = kind
    self.toRead = toRead
    self.toWrite = toWrite
    self.lock = lock
    self.rank = rank
  }

  /// A lock that protects others.
  @_transparent
  public static func lock(_ rank: LockRank) -> LockNote { LockNote(.atomic, rank: rank) }
  /// A sequence count, which its readers need no lock for.
  @_transparent
  public static var sequence: LockNote { LockNote(.atomic) }
  /// Accessed through an atomic cell only.
  @_transparent
  public static var atomic: LockNote { LockNote(.atomic) }
  /// Written under a lock of that rank only, and read freely, so through an atomic cell.
  @_transparent
  public static func atomic(writtenUnder rank: LockRank) -> LockNote { LockNote(.atomic, toWrite: rank.bit) }
  /// Written as the row that this one lies in says, and read freely, so through an atomic cell.
  @_transparent
  public static var atomicInContainer: LockNote { LockNote(.containerAtomic) }
  /// Read and written under a lock of that rank; shared is enough to read.
  @_transparent
  public static func guarded(by rank: LockRank) -> LockNote {
    LockNote(.guarded, toRead: rank.bit, toWrite: rank.bit)
  }
  /// Read and written under a lock of that rank; a writer also keeps out readers under the other two.
  @_transparent
  public static func guarded(by rank: LockRank, orToRead one: LockRank, _ other: LockRank) -> LockNote {
    LockNote(.guarded, toRead: rank.bit | one.bit | other.bit, toWrite: rank.bit)
  }
  /// Read and written under the row's own lock.
  @_transparent
  public static func guarded(by lock: Field<SpinLock.Word>) -> LockNote {
    LockNote(.guarded, toRead: lock.note.rank.bit, toWrite: lock.note.rank.bit, lock: lock.offset)
  }
  /// Read and written under the row's own lock; shared is enough to read.
  @_transparent
  public static func guarded(by lock: Field<ReadWriteLock.Word>) -> LockNote {
    LockNote(.guarded, toRead: lock.note.rank.bit, toWrite: lock.note.rank.bit, lock: lock.offset)
  }
  /// Written under locks of both ranks, either of which is thus enough to read.
  @_transparent
  public static func bothToWrite(_ one: LockRank, _ other: LockRank) -> LockNote {
    LockNote(.guarded, toRead: one.bit | other.bit, toWrite: one.bit | other.bit)
  }
  /// Written under a lock of that rank only; a reader without it knows otherwise that there is no writer, as the owner.
  @_transparent
  public static func written(under rank: LockRank) -> LockNote {
    LockNote(.guarded, toRead: ~0, toWrite: rank.bit)
  }
  /// Accessed by one owner at a time, which no lock shows.
  @_transparent
  public static var owner: LockNote { LockNote(.owner) }
  /// Written before other threads can reach the row, and never after.
  @_transparent
  public static var immutable: LockNote {
    LockNote(.guarded, toRead: ~0, toWrite: LockRank(rawValue: 0).bit)
  }
  /// Protected as the row that this one lies in says.
  @_transparent
  public static var container: LockNote { LockNote(.container) }
}

extension LockRank {
  /// The rank's bit in a set of ranks.
  @_transparent
  public var bit: UInt32 { 1 &<< UInt32(rawValue) }
}
