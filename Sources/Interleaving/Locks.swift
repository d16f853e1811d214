/// A spin lock in one 32-bit word of a table: 0 free, 1 held.
@frozen
public struct SpinLock {
  @usableFromInline let word: AtomicUInt32
  @usableFromInline let rank: LockRank

  /// The lock whose word is at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer, rank: LockRank) {
    word = AtomicUInt32(raw)
    self.rank = rank
  }

  /// Takes the lock, waiting for it.
  @inlinable @inline(__always)
  public func lock() {
    LockOrder.acquired(rank, word.pointer)
    // An exchange is cheaper than a compare-and-exchange, and writes what is there if the lock is held.
    if word.exchange(1) != 0 { contend() }
  }

  /// Gives the lock back.
  @inlinable @inline(__always)
  public func unlock() {
    LockOrder.released(rank, word.pointer)
    word.store(0, .release)
  }

  /// Takes the lock if it is free.
  @inlinable @inline(__always)
  public func tryLock() -> Bool {
    guard word.exchange(1) == 0 else { return false }
    LockOrder.acquired(rank, word.pointer, tried: true)
    return true
  }

  /// Runs `body` with the lock held.
  @inlinable @inline(__always)
  public func withLock<Result, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    lock()
    defer { unlock() }
    return try body()
  }

  @usableFromInline @inline(never)
  func contend() {
    wait(.lock) { word.load(.relaxed) == 0 && word.exchange(1) == 0 }
  }
}

/// A lock for many readers or one writer, in one 32-bit word: the top bit is the writer, the rest counts readers.
@frozen
public struct ReadWriteLock {
  @usableFromInline static var writer: UInt32 { 0x8000_0000 }
  @usableFromInline let word: AtomicUInt32
  @usableFromInline let rank: LockRank

  /// The lock whose word is at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer, rank: LockRank) {
    word = AtomicUInt32(raw)
    self.rank = rank
  }

  /// Takes the lock together with other readers.
  @inlinable
  public func lockShared() {
    LockOrder.acquired(rank, word.pointer)
    wait(.lock) {
      let seen = word.load(.relaxed)
      return seen & Self.writer == 0 && word.compareExchange(seen, seen &+ 1).exchanged
    }
  }

  /// Gives a shared hold back.
  @inlinable
  public func unlockShared() {
    LockOrder.released(rank, word.pointer)
    word.fetchAdd(UInt32.max)
  }

  /// Takes the lock alone.
  @inlinable
  public func lockExclusive() {
    LockOrder.acquired(rank, word.pointer)
    wait(.lock) { word.load(.relaxed) == 0 && word.compareExchange(0, Self.writer).exchanged }
  }

  /// Gives the exclusive hold back.
  @inlinable
  public func unlockExclusive() {
    LockOrder.released(rank, word.pointer)
    word.store(0, .release)
  }

  /// Whether anyone holds the lock: for assertions.
  @inlinable
  public var approximateIsHeld: Bool { word.load(.relaxed) != 0 }
}

/// A lock that is one bit of an atomic word which also holds other bits: the page lock.
@frozen
public struct BitLock {
  @usableFromInline let word: AtomicUInt64
  @usableFromInline let bit: UInt64
  @usableFromInline let rank: LockRank

  /// The lock made of `bit` in `word`.
  @inlinable @inline(__always)
  public init(_ word: AtomicUInt64, bit: UInt64, rank: LockRank) {
    self.word = word
    self.bit = bit
    self.rank = rank
  }

  /// Takes the lock if it is free.
  @inlinable @inline(__always)
  public func tryLock() -> Bool {
    guard word.fetchOr(bit) & bit == 0 else { return false }
    LockOrder.acquired(rank, word.pointer, tried: true)
    return true
  }

  /// Takes the lock, waiting for it.
  @inlinable
  public func lock() {
    LockOrder.acquired(rank, word.pointer)
    wait(.lock) { word.load(.relaxed) & bit == 0 && word.fetchOr(bit) & bit == 0 }
  }

  /// Waits until nobody holds the lock, without taking it.
  @inlinable
  public func waitUntilFree() { wait(.lock) { word.load(.acquire) & bit == 0 } }

  /// Gives the lock back.
  @inlinable @inline(__always)
  public func unlock() {
    LockOrder.released(rank, word.pointer)
    word.fetchAnd(~bit)
  }
}

/// A sequence count in one 32-bit word: odd while a writer is at work.
@frozen
public struct SequenceCount {
  @usableFromInline let word: AtomicUInt32

  /// The count whose word is at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer) { word = AtomicUInt32(raw) }

  /// The count now; odd means that a writer is at work.
  @inlinable @inline(__always)
  public func read() -> UInt32 { word.load(.sequential) }

  /// Begins or ends a write; the caller holds the lock that excludes other writers.
  @inlinable @inline(__always)
  public func advance() { word.fetchAdd(1, .sequential) }
}
