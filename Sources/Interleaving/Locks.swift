public import Synchronization

/// A spin lock in one 32-bit word of a table: 0 free, 1 held.
@frozen
public struct SpinLock {
  /// What stands in the word.
  @frozen
  public struct Word: BitwiseCopyable, Sendable, CustomStringConvertible {
    let rawValue: UInt32
    /// Whether someone holds the lock.
    public var isHeld: Bool { rawValue != 0 }
    /// The word in words.
    public var description: String { isHeld ? "held" : "free" }
  }

  @usableFromInline static var held: UInt64 { 0xffff_ffff }
  @usableFromInline let word: AtomicUInt32
  @usableFromInline let rank: LockRank

  /// The lock whose word is at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer, rank: LockRank) {
    word = AtomicUInt32(raw)
    self.rank = rank
  }

  /// Takes the lock; waits until it is free.
  @inlinable @inline(__always)
  public func lock() {
    LockOrder.acquired(rank, word.pointer)
    schedulePoint(.acquire, word.pointer, clear: Self.held)
    // An exchange is cheaper than a compare-and-exchange; if the lock is held, it writes the value that is there.
    if word.pointer.pointee.exchange(1, ordering: .sequentiallyConsistent) != 0 { contend() }
  }

  /// Releases the lock.
  @inlinable @inline(__always)
  public func unlock() {
    LockOrder.released(rank, word.pointer)
    if storePoint(.release, word.pointer, UInt32(0), .release) { return }
    word.pointer.pointee.store(0, ordering: .releasing)
  }

  /// Takes the lock if it is free.
  @inlinable @inline(__always)
  public func tryLock() -> Bool {
    schedulePoint(.tryAcquire, word.pointer, clear: Self.held)
    guard word.pointer.pointee.exchange(1, ordering: .sequentiallyConsistent) == 0 else { return false }
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

/// A lock for many readers or one writer, in one 32-bit word: the top bit is the writer, the others count readers.
@frozen
public struct ReadWriteLock {
  /// What stands in the word.
  @frozen
  public struct Word: BitwiseCopyable, Sendable, CustomStringConvertible {
    let rawValue: UInt32
    /// The word in words.
    public var description: String {
      if rawValue == 0 { return "free" }
      return rawValue & writer != 0 ? "held to write" : "held by \(rawValue) to read"
    }
  }

  @usableFromInline static var writer: UInt32 { 0x8000_0000 }
  @usableFromInline static var held: UInt64 { 0xffff_ffff }
  @usableFromInline let word: AtomicUInt32
  @usableFromInline let rank: LockRank

  /// The lock whose word is at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer, rank: LockRank) {
    word = AtomicUInt32(raw)
    self.rank = rank
  }

  /// Takes the lock shared with other readers.
  @inlinable
  public func lockShared() {
    LockOrder.acquired(rank, word.pointer, shared: true)
    schedulePoint(.acquireShared, word.pointer, clear: UInt64(Self.writer))
    wait(.lock) {
      let seen = word.pointer.pointee.load(ordering: .relaxed)
      return seen & Self.writer == 0
        && word.pointer.pointee.compareExchange(
          expected: seen, desired: seen &+ 1, ordering: .sequentiallyConsistent
        ).exchanged
    }
  }

  /// Releases a shared hold.
  @inlinable
  public func unlockShared() {
    LockOrder.released(rank, word.pointer)
    schedulePoint(.releaseShared, word.pointer)
    word.pointer.pointee.wrappingAdd(UInt32.max, ordering: .acquiringAndReleasing)
  }

  /// Takes the lock exclusively.
  @inlinable
  public func lockExclusive() {
    LockOrder.acquired(rank, word.pointer)
    schedulePoint(.acquire, word.pointer, clear: Self.held)
    wait(.lock) {
      word.pointer.pointee.load(ordering: .relaxed) == 0
        && word.pointer.pointee.compareExchange(
          expected: 0, desired: Self.writer, ordering: .sequentiallyConsistent
        ).exchanged
    }
  }

  /// Releases the exclusive hold.
  @inlinable
  public func unlockExclusive() {
    LockOrder.released(rank, word.pointer)
    if storePoint(.release, word.pointer, UInt32(0), .release) { return }
    word.pointer.pointee.store(0, ordering: .releasing)
  }

  /// Whether the lock is held: for assertions.
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
    schedulePoint(.tryAcquire, word.pointer, clear: bit)
    guard take() else { return false }
    LockOrder.acquired(rank, word.pointer, tried: true)
    return true
  }

  /// Takes the lock; waits until it is free.
  @inlinable
  public func lock() {
    LockOrder.acquired(rank, word.pointer)
    schedulePoint(.acquire, word.pointer, clear: bit)
    wait(.lock) { word.pointer.pointee.load(ordering: .relaxed) & bit == 0 && take() }
  }

  @inlinable @inline(__always)
  func take() -> Bool {
    word.pointer.pointee.bitwiseOr(bit, ordering: .acquiringAndReleasing).oldValue & bit == 0
  }

  /// Waits until the lock is free, without taking it.
  @inlinable
  public func waitUntilFree() {
    schedulePoint(.awaitClear, word.pointer, clear: bit)
    wait(.lock) { word.pointer.pointee.load(ordering: .acquiring) & bit == 0 }
  }

  /// Releases the lock.
  @inlinable @inline(__always)
  public func unlock() {
    LockOrder.released(rank, word.pointer)
    schedulePoint(.release, word.pointer)
    word.pointer.pointee.bitwiseAnd(~bit, ordering: .acquiringAndReleasing)
  }
}

/// A sequence count in one 32-bit word: odd while a writer is active.
@frozen
public struct SequenceCount {
  /// What stands in the word.
  @frozen
  public struct Word: BitwiseCopyable, Sendable, CustomStringConvertible {
    let rawValue: UInt32
    /// The word in words.
    public var description: String { "\(rawValue)" }
  }

  @usableFromInline let word: AtomicUInt32

  /// The count whose word is at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer) { word = AtomicUInt32(raw) }

  /// The count now; odd means that a writer is active.
  @inlinable @inline(__always)
  public func read() -> UInt32 { word.load(.sequential) }

  /// Begins or ends a write; the caller holds the lock that excludes other writers.
  @inlinable @inline(__always)
  public func advance() { word.fetchAdd(1, .sequential) }
}
