/// One row of a flat table: typed access to the fields that its layout declares.
///
/// In debug and explored builds an access traps unless the field's note allows it.
@frozen
public struct Row {
  /// The first byte of the row.
  public let raw: UnsafeMutableRawPointer

  @usableFromInline let outer: RowProtection

  /// The row that begins at `raw`.
  @inlinable @inline(__always)
  public init(_ raw: UnsafeMutableRawPointer) { self.init(raw, .none) }

  @inlinable @inline(__always)
  init(_ raw: UnsafeMutableRawPointer, _ outer: RowProtection) {
    self.raw = raw
    self.outer = outer
  }

  /// The same row, whose fields need no lock, since no other thread can reach it: not yet, or not any more.
  ///
  /// The caller has the argument beside it.
  @inlinable @inline(__always)
  public var unshared: Row { Row(raw, .unshared) }

  /// A plain field.
  public subscript<Value>(_ field: Field<Value>) -> Value {
    @inlinable @inline(__always) get {
      field.note.check(raw, outer, isWrite: false, field.name)
      return load(field.offset)
    }
    @inlinable @inline(__always) nonmutating set {
      field.note.check(raw, outer, isWrite: true, field.name)
      store(field.offset, newValue)
    }
  }

  /// One of several plain fields.
  public subscript<Value>(_ fields: FieldArray<Value>, _ index: Int) -> Value {
    @inlinable @inline(__always) get {
      fields.note.check(raw, outer, isWrite: false, fields.name)
      return load(fields.offset(index))
    }
    @inlinable @inline(__always) nonmutating set {
      fields.note.check(raw, outer, isWrite: true, fields.name)
      store(fields.offset(index), newValue)
    }
  }

  /// A row inside this one.
  @inlinable @inline(__always)
  public func row<Layout>(_ rows: RowArray<Layout>, _ index: Int = 0) -> Row {
    Row(raw + rows.offset(index), outer.inner(rows.note))
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
    AtomicInt32(raw + field.offset, field.note.toStore(outer))
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
    AtomicUInt32(raw + offset, note.toStore(outer))
  }

  @inlinable @inline(__always)
  func cell64(_ offset: Int, _ note: LockNote) -> AtomicUInt64 {
    AtomicUInt64(raw + offset, note.toStore(outer))
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
