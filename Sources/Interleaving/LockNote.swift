/// What protects a field of a row: a part of the field's declaration.
@frozen
public struct LockNote: Equatable, Sendable {
  /// The ways in which a field can be protected.
  public enum Kind: UInt8, Sendable {
    /// The word of a lock, or of a sequence count.
    case lock
    /// Atomic: every access goes through an atomic cell.
    case atomic
    /// Plain, under locks.
    case guarded
    /// Plain, of one owner at a time: a thread, or whoever has the row for itself.
    case owner
    /// Plain, written before others can reach the row, and never after.
    case immutable
    /// Plain or atomic, under the lock that protects the row that this one lies in.
    case container
  }

  /// How the field is protected.
  public let kind: Kind
  /// A bit for each rank of which one lock is enough to read.
  public let toRead: UInt32
  /// A bit for each rank of which a lock must be held to write, readers excluded.
  public let toWrite: UInt32
  /// The rank of the lock that the field is.
  public let rank: LockRank

  @_transparent @usableFromInline
  init(
    _ kind: Kind, toRead: UInt32 = 0, toWrite: UInt32 = 0, rank: LockRank = LockRank(rawValue: 0)
  ) {
    self.kind = kind
    self.toRead = toRead
    self.toWrite = toWrite
    self.rank = rank
  }

  /// A lock that protects others.
  @_transparent
  public static func lock(_ rank: LockRank) -> LockNote { LockNote(.lock, rank: rank) }
  /// A sequence count, which its readers need no lock for.
  @_transparent
  public static var sequence: LockNote { LockNote(.lock) }
  /// Accessed through an atomic cell only.
  @_transparent
  public static var atomic: LockNote { LockNote(.atomic) }
  /// Written under a lock of that rank only, and read freely, so through an atomic cell.
  @_transparent
  public static func atomic(writtenUnder rank: LockRank) -> LockNote { LockNote(.atomic, toWrite: rank.bit) }
  /// Read and written under a lock of that rank; shared is enough to read.
  @_transparent
  public static func guarded(by rank: LockRank) -> LockNote {
    LockNote(.guarded, toRead: rank.bit, toWrite: rank.bit)
  }
  /// Written under locks of both ranks, either of which is thus enough to read.
  @_transparent
  public static func bothToWrite(_ one: LockRank, _ other: LockRank) -> LockNote {
    LockNote(.guarded, toRead: one.bit | other.bit, toWrite: one.bit | other.bit)
  }
  /// Written by its owner, under a lock of that rank: so the owner reads it without, and others under the lock.
  @_transparent
  public static func ownerWrites(under rank: LockRank) -> LockNote {
    LockNote(.guarded, toRead: ~0, toWrite: rank.bit)
  }
  /// Accessed by one owner at a time, which no lock says.
  @_transparent
  public static var owner: LockNote { LockNote(.owner) }
  /// Written before others can reach the row, and never after.
  @_transparent
  public static var immutable: LockNote { LockNote(.immutable) }
  /// Protected as the row that this one lies in says.
  @_transparent
  public static var container: LockNote { LockNote(.container) }
}

extension LockRank {
  /// The rank's bit in a set of ranks.
  @_transparent
  public var bit: UInt32 { 1 &<< UInt32(rawValue) }
}
