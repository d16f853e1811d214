import CLinux

/// The place of a lock in the order in which locks may be taken: a higher rank is taken later.
@frozen
public struct LockRank: RawRepresentable, Hashable, Sendable {
  /// The rank's number.
  public let rawValue: UInt8

  /// The rank with that number.
  @inlinable @inline(__always)
  public init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// The locks that the current thread holds, and the check of their order: in debug and explored builds only, elsewhere
/// nothing.
public enum LockOrder {
  /// Notes that the current thread takes a lock, after checking that it holds none of an equal or higher rank.
  ///
  /// A lock got by trying never waits, so it may come out of order; it is noted without the check.
  @inlinable @inline(__always)
  public static func acquired(
    _ rank: LockRank, _ address: UnsafeRawPointer, tried: Bool = false, shared: Bool = false
  ) {
    #if DEBUG || EXPLORER
    note(rank, address, tried: tried, shared: shared)
    #endif
  }

  /// Notes that the current thread gives a lock back; locks may be given back in any order.
  @inlinable @inline(__always)
  public static func released(_ rank: LockRank, _ address: UnsafeRawPointer) {
    #if DEBUG || EXPLORER
    forget(rank, address)
    #endif
  }

  /// The ranks that the current thread holds, innermost last; empty where the check is compiled out.
  public static var held: [LockRank] {
    let locks = hf_current_held_locks().pointee
    return withUnsafeBytes(of: locks.rank) { bytes in
      bytes.prefix(Int(locks.count)).map { LockRank(rawValue: $0 & ~sharedBit) }
    }
  }

  /// Tells the checks of lock notes that nothing else runs meanwhile, so that no field needs its lock.
  ///
  /// For a machine that no other thread knows yet, and for a look at all of a machine at rest.
  ///
  /// - Parameters:
  ///   - why: the argument, for the reader of the call.
  ///   - body: what is done meanwhile.
  @inlinable @inline(__always)
  public static func atRest<Result, Failure: Error>(
    _ why: StaticString, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    #if DEBUG || EXPLORER
    beginRest()
    defer { endRest() }
    #endif
    return try body()
  }

  @usableFromInline
  static func beginRest() {
    guard let locks = hf_current_held_locks() else { return }
    locks.pointee.at_rest += 1
    sum(locks)
  }

  @usableFromInline
  static func endRest() {
    guard let locks = hf_current_held_locks() else { return }
    locks.pointee.at_rest -= 1
    sum(locks)
  }

  /// Makes a record of held locks that of a thread that holds none.
  static func forgetAll(_ locks: UnsafeMutablePointer<hf_held_locks>) {
    locks.pointee.count = 0
    locks.pointee.at_rest = 0
    sum(locks)
  }

  private static var sharedBit: UInt8 { 0x80 }

  @usableFromInline
  static func note(_ rank: LockRank, _ address: UnsafeRawPointer, tried: Bool, shared: Bool) {
    guard let locks = hf_current_held_locks() else { return }
    let count = Int(locks.pointee.count)
    guard count < Int(HF_HELD_LOCKS) else {
      fatalError("more than \(HF_HELD_LOCKS) locks held by one thread")
    }
    let (addresses, ranks) = fields(of: locks)
    if !tried {
      for place in 0..<count where ranks[place] & ~sharedBit >= rank.rawValue {
        let held = ranks[place] & ~sharedBit
        if lockOrderPoint(address, rank: rank.rawValue, held: held) { break }
        fatalError("lock order: rank \(rank.rawValue) taken while rank \(held) is held")
      }
    }
    ranks[count] = shared ? rank.rawValue | sharedBit : rank.rawValue
    addresses[count] = address
    locks.pointee.count += 1
    locks.pointee.ranks |= rank.bit
    if !shared { locks.pointee.exclusive |= rank.bit }
  }

  @usableFromInline
  static func forget(_ rank: LockRank, _ address: UnsafeRawPointer) {
    guard let locks = hf_current_held_locks() else { return }
    let (addresses, ranks) = fields(of: locks)
    let last = Int(locks.pointee.count) - 1
    var at = last
    while at >= 0, addresses[at] != address { at -= 1 }
    guard at >= 0 else {
      fatalError("lock order: rank \(rank.rawValue) given back by a thread that does not hold it")
    }
    while at < last {
      ranks[at] = ranks[at + 1]
      addresses[at] = addresses[at + 1]
      at += 1
    }
    locks.pointee.count -= 1
    sum(locks)
  }

  /// Finds out anew of which ranks locks are held.
  private static func sum(_ locks: UnsafeMutablePointer<hf_held_locks>) {
    let (_, ranks) = fields(of: locks)
    var (any, exclusive): (UInt32, UInt32) = locks.pointee.at_rest > 0 ? (~0, ~0) : (0, 0)
    for place in 0..<Int(locks.pointee.count) {
      let bit = LockRank(rawValue: ranks[place] & ~sharedBit).bit
      any |= bit
      if ranks[place] & sharedBit == 0 { exclusive |= bit }
    }
    locks.pointee.ranks = any
    locks.pointee.exclusive = exclusive
  }

  /// The two arrays of the record: as C arrays they would be copied whole at every look.
  @inline(__always)
  static func fields(
    of locks: UnsafeMutablePointer<hf_held_locks>
  ) -> (addresses: UnsafeMutablePointer<UnsafeRawPointer?>, ranks: UnsafeMutablePointer<UInt8>) {
    let raw = UnsafeMutableRawPointer(locks)
    let ranks = MemoryLayout<UnsafeRawPointer>.stride * Int(HF_HELD_LOCKS)
    return (
      raw.assumingMemoryBound(to: UnsafeRawPointer?.self), (raw + ranks).assumingMemoryBound(to: UInt8.self)
    )
  }
}
