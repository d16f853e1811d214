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

/// The run-time check of the lock order: in debug and explored builds only, elsewhere nothing.
public enum LockOrder {
  /// Notes that the current thread takes a lock, after checking that it holds none of an equal or higher rank.
  ///
  /// A lock got by trying never waits, so it may come out of order; it is noted without the check.
  @inlinable @inline(__always)
  public static func acquired(_ rank: LockRank, _ address: UnsafeRawPointer, tried: Bool = false) {
    #if DEBUG || EXPLORER
    note(rank, address, tried: tried)
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
      bytes.prefix(Int(locks.count)).map(LockRank.init(rawValue:))
    }
  }

  @usableFromInline
  static func note(_ rank: LockRank, _ address: UnsafeRawPointer, tried: Bool) {
    guard let locks = hf_current_held_locks() else { return }
    let count = Int(locks.pointee.count)
    guard count < Int(HF_HELD_LOCKS) else {
      fatalError("more than \(HF_HELD_LOCKS) locks held by one thread")
    }
    if !tried {
      withUnsafeBytes(of: locks.pointee.rank) { ranks in
        for held in ranks.prefix(count) where held >= rank.rawValue {
          if lockOrderPoint(address, rank: rank.rawValue, held: held) { break }
          fatalError("lock order: rank \(rank.rawValue) taken while rank \(held) is held")
        }
      }
    }
    withUnsafeMutableBytes(of: &locks.pointee.rank) { $0[count] = rank.rawValue }
    withUnsafeMutableBytes(of: &locks.pointee.address) {
      $0.storeBytes(
        of: address, toByteOffset: count * MemoryLayout<UnsafeRawPointer>.stride, as: UnsafeRawPointer.self)
    }
    locks.pointee.count += 1
  }

  @usableFromInline
  static func forget(_ rank: LockRank, _ address: UnsafeRawPointer) {
    guard let locks = hf_current_held_locks() else { return }
    let count = Int(locks.pointee.count)
    withUnsafeMutableBytes(of: &locks.pointee.address) { raw in
      let addresses = raw.bindMemory(to: UnsafeRawPointer?.self)
      guard let at = addresses.prefix(count).lastIndex(of: address) else {
        fatalError("lock order: rank \(rank.rawValue) given back by a thread that does not hold it")
      }
      withUnsafeMutableBytes(of: &locks.pointee.rank) { ranks in
        for i in at..<(count - 1) {
          ranks[i] = ranks[i + 1]
          addresses[i] = addresses[i + 1]
        }
      }
    }
    locks.pointee.count -= 1
  }
}
