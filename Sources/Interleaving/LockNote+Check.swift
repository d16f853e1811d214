#if DEBUG || EXPLORER
public import CLinux

/// What protects the row around a row; or that no other thread can reach it.
@frozen @usableFromInline
struct RowProtection {
  @usableFromInline let toRead: UInt32
  @usableFromInline let toWrite: UInt32

  @inlinable @inline(__always)
  init(toRead: UInt32, toWrite: UInt32) {
    self.toRead = toRead
    self.toWrite = toWrite
  }

  /// A row in no other.
  @inlinable @inline(__always)
  static var none: RowProtection { RowProtection(toRead: 0, toWrite: 0) }
  /// A row that no other thread can reach.
  @inlinable @inline(__always)
  static var unshared: RowProtection { RowProtection(toRead: ~0, toWrite: ~0) }

  @inlinable @inline(__always)
  var isUnshared: Bool { toWrite == ~0 }

  /// That of a row inside one with this protection.
  @inlinable @inline(__always)
  func inner(_ note: LockNote) -> RowProtection {
    if isUnshared || note.kind == .container { return self }
    return RowProtection(toRead: note.toRead, toWrite: note.toWrite)
  }
}

/// What protects an atomic field from stores.
@frozen @usableFromInline
struct StoreProtection {
  /// Ranks of locks that a store must hold.
  @usableFromInline let ranks: UInt32

  @inlinable @inline(__always)
  init(ranks: UInt32) { self.ranks = ranks }

  /// A field that every thread may store to.
  @inlinable @inline(__always)
  static var none: StoreProtection { StoreProtection(ranks: 0) }

  /// Traps unless the current thread holds the locks.
  @inlinable @inline(__always)
  func check() {
    if ranks != 0, !LockOrder.areHeld(toRead: 0, toWrite: ranks, isWrite: true) { fail() }
  }

  @usableFromInline @inline(never)
  func fail() -> Never {
    let asked = (0..<32).filter { ranks >> UInt32($0) & 1 != 0 }
    fatalError(
      "atomic store without its locks: ranks \(asked) are asked for, \(LockOrder.held.map(\.rawValue)) are held"
    )
  }
}

extension LockNote {
  /// Traps unless the current thread may read or write a field of the row plainly.
  @inlinable @inline(__always)
  func check(_ row: UnsafeMutableRawPointer, _ outer: RowProtection, isWrite: Bool, _ name: StaticString) {
    if kind == .owner { return }
    if kind == .guarded || kind == .container {
      let read = kind == .guarded ? toRead : outer.toRead
      let write = kind == .guarded ? toWrite : outer.toWrite
      if !isWrite && read == ~0 { return }
      if LockOrder.areHeld(toRead: read, toWrite: write, isWrite: isWrite),
        lock < 0 || LockOrder.isHeld(row + lock)
      {
        return
      }
      if outer.isUnshared { return }
    }
    LockNote.fail(isWrite, name)
  }

  /// What protects an atomic field of the row from stores.
  @inlinable @inline(__always)
  func toStore(_ outer: RowProtection) -> StoreProtection {
    if outer.isUnshared { return .none }
    return StoreProtection(ranks: kind == .containerAtomic ? outer.toWrite : toWrite)
  }

  @usableFromInline @inline(never)
  static func fail(_ isWrite: Bool, _ name: StaticString) -> Never {
    let held = LockOrder.held.map(\.rawValue)
    fatalError("\(isWrite ? "write" : "read") of '\(name)' without its lock: ranks \(held) are held")
  }
}

extension LockOrder {
  /// Whether the current thread holds locks of the ranks that a field's note asks for.
  @inlinable @inline(__always)
  static func areHeld(toRead: UInt32, toWrite: UInt32, isWrite: Bool) -> Bool {
    guard let held = hf_current_held_locks() else { return true }
    return isWrite ? held.pointee.exclusive & toWrite == toWrite : held.pointee.ranks & toRead != 0
  }

  /// Whether the current thread holds that very lock, or nothing else runs.
  @usableFromInline
  static func isHeld(_ lock: UnsafeRawPointer) -> Bool {
    guard let locks = hf_current_held_locks() else { return true }
    if locks.pointee.at_rest != 0 { return true }
    let (addresses, _) = fields(of: locks)
    return (0..<Int(locks.pointee.count)).contains { addresses[$0] == lock }
  }
}
#else
/// Nothing, where nothing is checked.
@frozen @usableFromInline
struct RowProtection {
  @inlinable @inline(__always)
  init() {}

  @inlinable @inline(__always)
  static var none: RowProtection { RowProtection() }
  @inlinable @inline(__always)
  static var unshared: RowProtection { RowProtection() }

  @inlinable @inline(__always)
  func inner(_ note: LockNote) -> RowProtection { self }
}

/// Nothing, where nothing is checked.
@frozen @usableFromInline
struct StoreProtection {
  @inlinable @inline(__always)
  init() {}

  @inlinable @inline(__always)
  static var none: StoreProtection { StoreProtection() }

  @inlinable @inline(__always)
  func check() {}
}

extension LockNote {
  @inlinable @inline(__always)
  func check(_ row: UnsafeMutableRawPointer, _ outer: RowProtection, isWrite: Bool, _ name: StaticString) {}

  @inlinable @inline(__always)
  func toStore(_ outer: RowProtection) -> StoreProtection { .none }
}
#endif
