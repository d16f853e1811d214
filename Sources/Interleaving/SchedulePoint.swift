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
  /// Trying again, because an operation could not be done.
  case wait
  /// Taking a lock out of the order of ranks.
  case lockOrder
  /// A choice between answers of the world outside the program.
  case choice
  /// No operation yet.
  case begin
}

extension PointKind: CustomStringConvertible {
  /// The operation in words.
  public var description: String {
    switch self {
    case .load: "load"
    case .store: "store"
    case .readModifyWrite: "read-modify-write"
    case .compareExchange: "compare and exchange"
    case .addIfPositive: "add if positive"
    case .plainLoad: "plain load"
    case .plainStore: "plain store"
    case .acquire: "acquire"
    case .acquireShared: "acquire shared"
    case .tryAcquire: "try to acquire"
    case .release: "release"
    case .releaseShared: "release shared"
    case .awaitClear: "wait until clear"
    case .wait: "wait"
    case .lockOrder: "lock order"
    case .choice: "choice"
    case .begin: "begin"
    }
  }
}

/// What an announcement says besides the kind of operation, in the upper bits of the same byte.
enum PointFlags {
  static let kind: UInt8 = 0x1f
  /// A store that may stay in a store buffer.
  static let mayBeHeldBack: UInt8 = 0x20
  static let eightBytes: UInt8 = 0x40
  /// The operation is relaxed: it orders nothing else.
  static let relaxed: UInt8 = 0x80
}

// A schedule point is nothing in `Interleaving`, and a call of the current thread's explorer in
// `InterleavingExplored`. Only this file, `Marks.swift` and the explorer itself distinguish the two.

/// Announces a synchronising operation on `address` before it happens.
@inlinable @inline(__always)
public func schedulePoint(
  _ kind: PointKind, _ address: UnsafeRawPointer, _ order: MemoryOrder = .sequential
) {
  #if EXPLORER
  reach(kind, address, order)
  #endif
}

/// Announces an operation that waits until the bits of `mask` are clear, or tests them.
@inlinable @inline(__always)
func schedulePoint(_ kind: PointKind, _ address: UnsafeRawPointer, clear mask: UInt64) {
  #if EXPLORER
  reach(kind, address, clear: mask)
  #endif
}

/// Announces an operation that changes nothing unless the word holds `expected`.
@inlinable @inline(__always)
func schedulePoint<Value: FixedWidthInteger>(
  _ kind: PointKind, _ address: UnsafeRawPointer, expecting expected: Value
) {
  #if EXPLORER
  reach(kind, address, expecting: UInt64(truncatingIfNeeded: expected), Value.bitWidth == 64)
  #endif
}

/// Announces a load; a value that is not nil replaces what memory holds.
@inlinable @inline(__always)
func loadPoint(_ address: UnsafeRawPointer, _ order: MemoryOrder) -> UInt64? {
  #if EXPLORER
  reachLoad(address, order)
  #else
  nil
  #endif
}

/// Announces a store; true means that the explorer performs it, and that it must not happen here.
@inlinable @inline(__always)
func storePoint<Value: FixedWidthInteger>(
  _ kind: PointKind, _ address: UnsafeRawPointer, _ value: Value, _ order: MemoryOrder
) -> Bool {
  #if EXPLORER
  reachStore(kind, address, UInt64(truncatingIfNeeded: value), Value.bitWidth == 64, order)
  #else
  false
  #endif
}

/// Reports that a lock is taken out of order; true means that the explorer has noted it and the program may continue.
@inline(__always)
func lockOrderPoint(_ address: UnsafeRawPointer, rank: UInt8, held: UInt8) -> Bool {
  #if EXPLORER
  var ranks = UInt64(rank) << 8 | UInt64(held)
  return pass(PointKind.lockOrder.rawValue, address, &ranks)
  #else
  false
  #endif
}

/// Whether an actor of an explorer runs on this thread.
var isActing: Bool {
  #if EXPLORER
  Explorer.withCurrent { !$0.isMuted && $0.execution.current != Execution.nobody } ?? false
  #else
  false
  #endif
}

/// Announces that the current thread must try again; true means that other actors have run.
@inline(__always)
func waitPoint() -> Bool {
  #if EXPLORER
  pass(PointKind.wait.rawValue, nil, nil)
  #else
  false
  #endif
}

#if EXPLORER
/// Calls the explorer of this thread, if there is one; true means that it has performed the operation, and that
/// `word` holds the value of a load.
@inline(__always)
private func pass(_ byte: UInt8, _ address: UnsafeRawPointer?, _ word: UnsafeMutablePointer<UInt64>?) -> Bool
{
  Explorer.withCurrent { $0.point(byte, UInt(bitPattern: address), word) } ?? false
}

@usableFromInline
func reach(_ kind: PointKind, _ address: UnsafeRawPointer, _ order: MemoryOrder) {
  if kind == .plainLoad || kind == .plainStore {
    _ = Explorer.withCurrent { $0.plainPoint(UInt(bitPattern: address), isWrite: kind == .plainStore) }
    return
  }
  _ = pass(kind.rawValue | (order == .relaxed ? PointFlags.relaxed : 0), address, nil)
}

@usableFromInline
func reach(_ kind: PointKind, _ address: UnsafeRawPointer, clear mask: UInt64) {
  var mask = mask
  _ = pass(kind.rawValue, address, &mask)
}

@usableFromInline
func reach(
  _ kind: PointKind, _ address: UnsafeRawPointer, expecting expected: UInt64, _ isEightBytes: Bool
) {
  var expected = expected
  _ = pass(kind.rawValue | (isEightBytes ? PointFlags.eightBytes : 0), address, &expected)
}

@usableFromInline
func reachLoad(_ address: UnsafeRawPointer, _ order: MemoryOrder) -> UInt64? {
  var value: UInt64 = 0
  let kind = PointKind.load.rawValue | (order == .relaxed ? PointFlags.relaxed : 0)
  return pass(kind, address, &value) ? value : nil
}

@usableFromInline
func reachStore(
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
