import CLinux

/// What an operation at a schedule point does to the word that it names.
public enum PointKind: UInt8, Sendable {
  /// Atomic operations.
  case load, store, readModifyWrite
  /// Atomic operations that change nothing if the value is not the expected one, or not above zero.
  case compareExchange, addIfPositive
  /// Accesses to fields that a lock or an owner protects.
  case plainLoad, plainStore
  /// Taking a lock, which waits until the bits that say it is held are clear.
  case acquire, acquireShared
  /// Taking a lock if it is free.
  case tryAcquire
  /// Giving a lock back.
  case release, releaseShared
  /// Waiting until bits are clear, and changing nothing.
  case awaitClear
  /// Trying again, because an operation found nothing else to do.
  case wait
  /// Taking a lock out of the order of ranks.
  case lockOrder
  /// An answer of the world.
  case choice
  /// No operation yet.
  case begin
}

/// What an announcement says besides the kind, in the upper bits of the same byte.
enum PointFlags {
  static let kind: UInt8 = 0x1f
  /// A store that may stay in a store buffer.
  static let mayBeHeldBack: UInt8 = 0x20
  static let eightBytes: UInt8 = 0x40
  /// The operation orders nothing else.
  static let relaxed: UInt8 = 0x80
}

// Nothing in `Interleaving`; a call of the current thread's hook in `InterleavingExplored`. No other place but
// the explorer itself tells the two apart.

/// Announces a synchronising operation on `address` before it happens.
@inlinable @inline(__always)
public func schedulePoint(
  _ kind: PointKind, _ address: UnsafeRawPointer, _ order: MemoryOrder = .sequential
) {
  #if EXPLORER
  announce(kind, address, order)
  #endif
}

/// Announces an operation that waits until the bits of `mask` are clear, or tests them.
@inlinable @inline(__always)
func schedulePoint(_ kind: PointKind, _ address: UnsafeRawPointer, clear mask: UInt64) {
  #if EXPLORER
  announce(kind, address, clear: mask)
  #endif
}

/// Announces an operation that changes nothing unless the word holds `expected`.
@inlinable @inline(__always)
func schedulePoint<Value: FixedWidthInteger>(
  _ kind: PointKind, _ address: UnsafeRawPointer, expecting expected: Value
) {
  #if EXPLORER
  announce(kind, address, expecting: UInt64(truncatingIfNeeded: expected), Value.bitWidth == 64)
  #endif
}

/// Announces a load; what it returns is to be taken instead of what memory holds.
@inlinable @inline(__always)
func loadPoint(_ address: UnsafeRawPointer, _ order: MemoryOrder) -> UInt64? {
  #if EXPLORER
  announceLoad(address, order)
  #else
  nil
  #endif
}

/// Announces a store; true means that it has been taken over and must not happen here.
@inlinable @inline(__always)
func storePoint<Value: FixedWidthInteger>(
  _ kind: PointKind, _ address: UnsafeRawPointer, _ value: Value, _ order: MemoryOrder
) -> Bool {
  #if EXPLORER
  announceStore(kind, address, UInt64(truncatingIfNeeded: value), Value.bitWidth == 64, order)
  #else
  false
  #endif
}

/// Reports that a lock is taken out of order; true means that it has been noted and the program may go on.
@inline(__always)
func lockOrderPoint(_ address: UnsafeRawPointer, rank: UInt8, held: UInt8) -> Bool {
  #if EXPLORER
  var ranks = UInt64(rank) << 8 | UInt64(held)
  return pass(PointKind.lockOrder.rawValue, address, &ranks)
  #else
  false
  #endif
}

/// Whether an actor of an explorer runs, on this thread.
var isActing: Bool {
  #if EXPLORER
  Explorer.withCurrent { !$0.isMuted && $0.current != Explorer.nobody } ?? false
  #else
  false
  #endif
}

/// Announces that the current thread must try again; true means that others have had their chance.
@inline(__always)
func waitPoint() -> Bool {
  #if EXPLORER
  pass(PointKind.wait.rawValue, nil, nil)
  #else
  false
  #endif
}

#if EXPLORER
/// Tells the explorer of this thread, if there is one; true if it has performed the operation itself, and then
/// `word` holds what a load finds.
@inline(__always)
private func pass(_ byte: UInt8, _ address: UnsafeRawPointer?, _ word: UnsafeMutablePointer<UInt64>?) -> Bool
{
  Explorer.withCurrent { $0.point(byte, UInt(bitPattern: address), word) } ?? false
}

@usableFromInline
func announce(_ kind: PointKind, _ address: UnsafeRawPointer, _ order: MemoryOrder) {
  if kind == .plainLoad || kind == .plainStore {
    _ = Explorer.withCurrent { $0.plainPoint(UInt(bitPattern: address), isWrite: kind == .plainStore) }
    return
  }
  _ = pass(kind.rawValue | (order == .relaxed ? PointFlags.relaxed : 0), address, nil)
}

@usableFromInline
func announce(_ kind: PointKind, _ address: UnsafeRawPointer, clear mask: UInt64) {
  var mask = mask
  _ = pass(kind.rawValue, address, &mask)
}

@usableFromInline
func announce(
  _ kind: PointKind, _ address: UnsafeRawPointer, expecting expected: UInt64, _ isEightBytes: Bool
) {
  var expected = expected
  _ = pass(kind.rawValue | (isEightBytes ? PointFlags.eightBytes : 0), address, &expected)
}

@usableFromInline
func announceLoad(_ address: UnsafeRawPointer, _ order: MemoryOrder) -> UInt64? {
  var value: UInt64 = 0
  let kind = PointKind.load.rawValue | (order == .relaxed ? PointFlags.relaxed : 0)
  return pass(kind, address, &value) ? value : nil
}

@usableFromInline
func announceStore(
  _ kind: PointKind, _ address: UnsafeRawPointer, _ value: UInt64, _ isEightBytes: Bool, _ order: MemoryOrder
) -> Bool {
  var value = value
  var point = kind.rawValue | (isEightBytes ? PointFlags.eightBytes : 0)
  if order == .relaxed { point |= PointFlags.relaxed }
  if order != .sequential { point |= PointFlags.mayBeHeldBack }
  return pass(point, address, &value)
}
#endif

/// Whether this module is the explored twin.
@inlinable @inline(__always)
public var isExplored: Bool {
  #if EXPLORER
  true
  #else
  false
  #endif
}
