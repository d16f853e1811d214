public import Synchronization

/// Memory order of an atomic operation, as C11 names it.
///
/// Orders stand on operations, never on fences: a fence is invisible to the thread sanitizer.
public enum MemoryOrder: Sendable {
  case relaxed, acquire, release, acquireRelease, sequential
}

/// An atomic `Int32` inside a table row; all-zero memory is a valid cell holding zero.
///
/// The memory must stay mapped while the cell is in use.
@frozen
public struct AtomicInt32 {
  @usableFromInline let pointer: UnsafeMutablePointer<Atomic<Int32>>
  @usableFromInline let protection: StoreProtection

  /// The cell at `raw`, which must be aligned for the value.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer) { self.init(raw, .none) }

  @inlinable @inline(__always)
  init(_ raw: UnsafeMutableRawPointer, _ protection: StoreProtection) {
    pointer = raw.assumingMemoryBound(to: Atomic<Int32>.self)
    self.protection = protection
  }

  /// Reads the value.
  @inlinable @inline(__always)
  public func load(_ order: MemoryOrder = .acquire) -> Int32 {
    if let held = loadPoint(pointer, order) { return Int32(truncatingIfNeeded: held) }
    switch order {
    case .relaxed: return pointer.pointee.load(ordering: .relaxed)
    case .sequential: return pointer.pointee.load(ordering: .sequentiallyConsistent)
    default: return pointer.pointee.load(ordering: .acquiring)
    }
  }

  /// Writes the value.
  @inlinable @inline(__always)
  public func store(_ value: Int32, _ order: MemoryOrder = .release) {
    protection.check()
    if storePoint(.store, pointer, value, order) { return }
    switch order {
    case .relaxed: pointer.pointee.store(value, ordering: .relaxed)
    case .sequential: pointer.pointee.store(value, ordering: .sequentiallyConsistent)
    default: pointer.pointee.store(value, ordering: .releasing)
    }
  }

  /// Adds, wrapping, and returns the value before.
  @inlinable @inline(__always) @discardableResult
  public func fetchAdd(_ delta: Int32, _ order: MemoryOrder = .acquireRelease) -> Int32 {
    protection.check()
    schedulePoint(.readModifyWrite, pointer, order)
    switch order {
    case .relaxed: return pointer.pointee.wrappingAdd(delta, ordering: .relaxed).oldValue
    case .sequential: return pointer.pointee.wrappingAdd(delta, ordering: .sequentiallyConsistent).oldValue
    default: return pointer.pointee.wrappingAdd(delta, ordering: .acquiringAndReleasing).oldValue
    }
  }

  /// Replaces `expected` by `desired`; returns whether it did, and the value found.
  @inlinable @inline(__always)
  public func compareExchange(_ expected: Int32, _ desired: Int32) -> (exchanged: Bool, original: Int32) {
    protection.check()
    schedulePoint(.compareExchange, pointer, expecting: expected)
    return pointer.pointee.compareExchange(
      expected: expected, desired: desired, ordering: .sequentiallyConsistent)
  }

  /// Adds `delta` if the value is above zero; returns whether it was.
  @inlinable @inline(__always)
  public func addIfPositive(_ delta: Int32) -> Bool {
    schedulePoint(.addIfPositive, pointer)
    var current = pointer.pointee.load(ordering: .relaxed)
    while true {
      if current <= 0 { return false }
      let (exchanged, original) = pointer.pointee.weakCompareExchange(
        expected: current, desired: current &+ delta, ordering: .sequentiallyConsistent)
      if exchanged { return true }
      current = original
    }
  }
}

/// An atomic `UInt32` inside a table row; all-zero memory is a valid cell holding zero.
///
/// The memory must stay mapped while the cell is in use.
@frozen
public struct AtomicUInt32 {
  @usableFromInline let pointer: UnsafeMutablePointer<Atomic<UInt32>>
  @usableFromInline let protection: StoreProtection

  /// The cell at `raw`, which must be aligned for the value.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer) { self.init(raw, .none) }

  @inlinable @inline(__always)
  init(_ raw: UnsafeMutableRawPointer, _ protection: StoreProtection) {
    pointer = raw.assumingMemoryBound(to: Atomic<UInt32>.self)
    self.protection = protection
  }

  /// Reads the value.
  @inlinable @inline(__always)
  public func load(_ order: MemoryOrder = .acquire) -> UInt32 {
    if let held = loadPoint(pointer, order) { return UInt32(truncatingIfNeeded: held) }
    switch order {
    case .relaxed: return pointer.pointee.load(ordering: .relaxed)
    case .sequential: return pointer.pointee.load(ordering: .sequentiallyConsistent)
    default: return pointer.pointee.load(ordering: .acquiring)
    }
  }

  /// Reads one byte of the cell that holds it, relaxed.
  @inlinable @inline(__always)
  public static func loadByte(_ raw: UnsafeMutableRawPointer) -> UInt8 {
    // To an observer this is an operation on the whole cell, as the writer's is.
    let byte = Int(bitPattern: raw) % 4
    if let held = loadPoint(raw - byte, .relaxed) { return UInt8(truncatingIfNeeded: held >> (byte * 8)) }
    return raw.assumingMemoryBound(to: Atomic<UInt8>.self).pointee.load(ordering: .relaxed)
  }

  /// Writes the value.
  @inlinable @inline(__always)
  public func store(_ value: UInt32, _ order: MemoryOrder = .release) {
    protection.check()
    if storePoint(.store, pointer, value, order) { return }
    switch order {
    case .relaxed: pointer.pointee.store(value, ordering: .relaxed)
    case .sequential: pointer.pointee.store(value, ordering: .sequentiallyConsistent)
    default: pointer.pointee.store(value, ordering: .releasing)
    }
  }

  /// Adds, wrapping, and returns the value before.
  @inlinable @inline(__always) @discardableResult
  public func fetchAdd(_ delta: UInt32, _ order: MemoryOrder = .acquireRelease) -> UInt32 {
    protection.check()
    schedulePoint(.readModifyWrite, pointer, order)
    switch order {
    case .relaxed: return pointer.pointee.wrappingAdd(delta, ordering: .relaxed).oldValue
    case .sequential: return pointer.pointee.wrappingAdd(delta, ordering: .sequentiallyConsistent).oldValue
    default: return pointer.pointee.wrappingAdd(delta, ordering: .acquiringAndReleasing).oldValue
    }
  }

  /// Stores and returns the value before.
  @inlinable @inline(__always)
  public func exchange(_ value: UInt32) -> UInt32 {
    protection.check()
    schedulePoint(.readModifyWrite, pointer)
    return pointer.pointee.exchange(value, ordering: .sequentiallyConsistent)
  }

  /// Replaces `expected` by `desired`; returns whether it did, and the value found.
  @inlinable @inline(__always)
  public func compareExchange(_ expected: UInt32, _ desired: UInt32) -> (exchanged: Bool, original: UInt32) {
    protection.check()
    schedulePoint(.compareExchange, pointer, expecting: expected)
    return pointer.pointee.compareExchange(
      expected: expected, desired: desired, ordering: .sequentiallyConsistent)
  }
}

/// An atomic `UInt64` inside a table row; all-zero memory is a valid cell holding zero.
///
/// The memory must stay mapped while the cell is in use.
@frozen
public struct AtomicUInt64 {
  @usableFromInline let pointer: UnsafeMutablePointer<Atomic<UInt64>>
  @usableFromInline let protection: StoreProtection

  /// The cell at `raw`, which must be aligned for the value.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer) { self.init(raw, .none) }

  @inlinable @inline(__always)
  init(_ raw: UnsafeMutableRawPointer, _ protection: StoreProtection) {
    pointer = raw.assumingMemoryBound(to: Atomic<UInt64>.self)
    self.protection = protection
  }

  /// Reads the value.
  @inlinable @inline(__always)
  public func load(_ order: MemoryOrder = .acquire) -> UInt64 {
    if let held = loadPoint(pointer, order) { return UInt64(truncatingIfNeeded: held) }
    switch order {
    case .relaxed: return pointer.pointee.load(ordering: .relaxed)
    case .sequential: return pointer.pointee.load(ordering: .sequentiallyConsistent)
    default: return pointer.pointee.load(ordering: .acquiring)
    }
  }

  /// Writes the value.
  @inlinable @inline(__always)
  public func store(_ value: UInt64, _ order: MemoryOrder = .release) {
    protection.check()
    if storePoint(.store, pointer, value, order) { return }
    switch order {
    case .relaxed: pointer.pointee.store(value, ordering: .relaxed)
    case .sequential: pointer.pointee.store(value, ordering: .sequentiallyConsistent)
    default: pointer.pointee.store(value, ordering: .releasing)
    }
  }

  /// Adds, wrapping, and returns the value before.
  @inlinable @inline(__always) @discardableResult
  public func fetchAdd(_ delta: UInt64, _ order: MemoryOrder = .acquireRelease) -> UInt64 {
    protection.check()
    schedulePoint(.readModifyWrite, pointer, order)
    switch order {
    case .relaxed: return pointer.pointee.wrappingAdd(delta, ordering: .relaxed).oldValue
    default: return pointer.pointee.wrappingAdd(delta, ordering: .acquiringAndReleasing).oldValue
    }
  }

  /// Adds to a counter that only the current thread writes: no locked instruction, no schedule point.
  @inlinable @inline(__always)
  public func addAsOwner(_ delta: UInt64) {
    pointer.pointee.store(
      pointer.pointee.load(ordering: .relaxed) &+ delta, ordering: .relaxed)
  }

  /// Adds to a count on which nothing depends, and returns the value before: no schedule point.
  @inlinable @inline(__always) @discardableResult
  public func advance(by delta: UInt64) -> UInt64 {
    pointer.pointee.wrappingAdd(delta, ordering: .relaxed).oldValue
  }

  /// Reads a count on which nothing depends: no schedule point.
  @inlinable @inline(__always)
  public var count: UInt64 { pointer.pointee.load(ordering: .relaxed) }

  /// Sets bits and returns the value before.
  @inlinable @inline(__always) @discardableResult
  public func fetchOr(_ bits: UInt64) -> UInt64 {
    protection.check()
    schedulePoint(.readModifyWrite, pointer)
    return pointer.pointee.bitwiseOr(bits, ordering: .acquiringAndReleasing).oldValue
  }

  /// Keeps only the bits of `mask` and returns the value before.
  @inlinable @inline(__always) @discardableResult
  public func fetchAnd(_ mask: UInt64) -> UInt64 {
    protection.check()
    schedulePoint(.readModifyWrite, pointer)
    return pointer.pointee.bitwiseAnd(mask, ordering: .acquiringAndReleasing).oldValue
  }

  /// Stores and returns the value before.
  @inlinable @inline(__always)
  public func exchange(_ value: UInt64) -> UInt64 {
    protection.check()
    schedulePoint(.readModifyWrite, pointer)
    return pointer.pointee.exchange(value, ordering: .sequentiallyConsistent)
  }

  /// Replaces `expected` by `desired`; returns whether it did, and the value found.
  @inlinable @inline(__always)
  public func compareExchange(_ expected: UInt64, _ desired: UInt64) -> (exchanged: Bool, original: UInt64) {
    protection.check()
    schedulePoint(.compareExchange, pointer, expecting: expected)
    return pointer.pointee.compareExchange(
      expected: expected, desired: desired, ordering: .sequentiallyConsistent)
  }
}
