/// One row of a flat table: typed access to the fields that its layout declares.
///
/// In debug and explored builds an access traps unless the field's note allows it.
@frozen
public struct Row {
  /// The first byte of the row.
  public let raw: UnsafeMutableRawPointer

  #if DEBUG || EXPLORER
  @usableFromInline let outer: RowProtection

  @inlinable @inline(__always)
  init(_ raw: UnsafeMutableRawPointer, _ outer: RowProtection) {
    self.raw = raw
    self.outer = outer
  }
  #endif

  /// The row that begins at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer) {
    self.raw = raw
    #if DEBUG || EXPLORER
    outer = .none
    #endif
  }

  /// The same row, whose fields need no lock, since no other thread can reach it: not yet, or not any more.
  ///
  /// The caller has the argument beside it.
  @inlinable @inline(__always)
  public var unshared: Row {
    #if DEBUG || EXPLORER
    Row(raw, .unshared)
    #else
    self
    #endif
  }

  /// A plain field.
  public subscript<Value>(_ field: Field<Value>) -> Value {
    @inlinable @inline(__always) get {
      check(field.note, isWrite: false, field.name)
      return load(field.offset)
    }
    @inlinable @inline(__always) nonmutating set {
      check(field.note, isWrite: true, field.name)
      store(field.offset, newValue)
    }
  }

  /// One of several plain fields.
  public subscript<Value>(_ fields: FieldArray<Value>, _ index: Int) -> Value {
    @inlinable @inline(__always) get {
      check(fields.note, isWrite: false, fields.name)
      return load(fields.offset(index))
    }
    @inlinable @inline(__always) nonmutating set {
      check(fields.note, isWrite: true, fields.name)
      store(fields.offset(index), newValue)
    }
  }

  /// A row inside this one.
  @inlinable @inline(__always)
  public func row<Layout>(_ rows: RowArray<Layout>, _ index: Int = 0) -> Row {
    #if DEBUG || EXPLORER
    Row(raw + rows.offset(index), outer.inner(rows.note))
    #else
    Row(raw + rows.offset(index))
    #endif
  }

  @inlinable @inline(__always)
  func check(_ note: LockNote, isWrite: Bool, _ name: StaticString) {
    #if DEBUG || EXPLORER
    note.check(raw, outer, isWrite: isWrite, name)
    #endif
  }

  @inlinable @inline(__always)
  func load<Value: BitwiseCopyable>(_ offset: Int) -> Value {
    schedulePoint(.plainLoad, raw + offset)
    return (raw + offset).assumingMemoryBound(to: Value.self).pointee
  }

  @inlinable @inline(__always)
  func store<Value: BitwiseCopyable>(_ offset: Int, _ value: Value) {
    schedulePoint(.plainStore, raw + offset)
    (raw + offset).assumingMemoryBound(to: Value.self).pointee = value
  }
}

// MARK: - Atomic fields and locks

extension Row {
  /// An atomic field.
  @inlinable @inline(__always)
  public func atomic(_ field: Field<Int32>) -> AtomicInt32 {
    #if DEBUG || EXPLORER
    AtomicInt32(raw + field.offset, toStore: field.note.toStore(outer))
    #else
    AtomicInt32(raw + field.offset)
    #endif
  }
  /// An atomic field.
  @inlinable @inline(__always)
  public func atomic(_ field: Field<UInt32>) -> AtomicUInt32 { cell32(field.offset, field.note) }
  /// An atomic field.
  @inlinable @inline(__always)
  public func atomic(_ field: Field<UInt64>) -> AtomicUInt64 { cell64(field.offset, field.note) }
  /// An atomic field.
  @inlinable @inline(__always)
  public func atomic<Value: RawRepresentable>(_ field: Field<Value>) -> AtomicUInt32
  where Value.RawValue == UInt32 { cell32(field.offset, field.note) }
  /// An atomic field.
  @inlinable @inline(__always)
  public func atomic<Value: RawRepresentable>(_ field: Field<Value>) -> AtomicUInt64
  where Value.RawValue == UInt64 { cell64(field.offset, field.note) }
  /// One of several atomic fields.
  @inlinable @inline(__always)
  public func atomic(_ fields: FieldArray<UInt32>, _ index: Int) -> AtomicUInt32 {
    cell32(fields.offset(index), fields.note)
  }
  /// One of several atomic fields.
  @inlinable @inline(__always)
  public func atomic(_ fields: FieldArray<UInt64>, _ index: Int) -> AtomicUInt64 {
    cell64(fields.offset(index), fields.note)
  }
  /// One of several atomic fields.
  @inlinable @inline(__always)
  public func atomic<Value: RawRepresentable>(_ fields: FieldArray<Value>, _ index: Int) -> AtomicUInt64
  where Value.RawValue == UInt64 { cell64(fields.offset(index), fields.note) }

  @inlinable @inline(__always)
  func cell32(_ offset: Int, _ note: LockNote) -> AtomicUInt32 {
    #if DEBUG || EXPLORER
    AtomicUInt32(raw + offset, toStore: note.toStore(outer))
    #else
    AtomicUInt32(raw + offset)
    #endif
  }

  @inlinable @inline(__always)
  func cell64(_ offset: Int, _ note: LockNote) -> AtomicUInt64 {
    #if DEBUG || EXPLORER
    AtomicUInt64(raw + offset, toStore: note.toStore(outer))
    #else
    AtomicUInt64(raw + offset)
    #endif
  }

  /// A spin lock.
  @inlinable @inline(__always)
  public func lock(_ field: Field<SpinLock.Word>) -> SpinLock {
    SpinLock(raw + field.offset, rank: field.note.rank)
  }
  /// A lock for readers and writers.
  @inlinable @inline(__always)
  public func lock(_ field: Field<ReadWriteLock.Word>) -> ReadWriteLock {
    ReadWriteLock(raw + field.offset, rank: field.note.rank)
  }
  /// A sequence count.
  @inlinable @inline(__always)
  public func sequence(_ field: Field<SequenceCount.Word>) -> SequenceCount {
    SequenceCount(raw + field.offset)
  }
}
