/// One row of a flat table: typed access to the fields that its layout declares.
@frozen
public struct Row {
  /// The first byte of the row.
  public let raw: UnsafeMutableRawPointer

  /// The row that begins at `raw`.
  @_transparent
  public init(_ raw: UnsafeMutableRawPointer) { self.raw = raw }

  /// A plain field.
  public subscript<Value>(_ field: Field<Value>) -> Value {
    @_transparent get { load(field.offset) }
    @_transparent nonmutating set { store(field.offset, newValue) }
  }

  /// One of several plain fields.
  public subscript<Value>(_ fields: FieldArray<Value>, _ index: Int) -> Value {
    @_transparent get { load(fields.offset(index)) }
    @_transparent nonmutating set { store(fields.offset(index), newValue) }
  }

  /// A row inside this one.
  @_transparent
  public func row<Layout>(_ rows: RowArray<Layout>, _ index: Int = 0) -> Row {
    Row(raw + rows.offset(index))
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
  @_transparent
  public func atomic(_ field: Field<Int32>) -> AtomicInt32 { AtomicInt32(raw + field.offset) }
  /// An atomic field.
  @_transparent
  public func atomic(_ field: Field<UInt32>) -> AtomicUInt32 { AtomicUInt32(raw + field.offset) }
  /// An atomic field.
  @_transparent
  public func atomic(_ field: Field<UInt64>) -> AtomicUInt64 { AtomicUInt64(raw + field.offset) }
  /// An atomic field.
  @_transparent
  public func atomic<Value: RawRepresentable>(_ field: Field<Value>) -> AtomicUInt32
  where Value.RawValue == UInt32 { AtomicUInt32(raw + field.offset) }
  /// An atomic field.
  @_transparent
  public func atomic<Value: RawRepresentable>(_ field: Field<Value>) -> AtomicUInt64
  where Value.RawValue == UInt64 { AtomicUInt64(raw + field.offset) }
  /// One of several atomic fields.
  @_transparent
  public func atomic(_ fields: FieldArray<UInt32>, _ index: Int) -> AtomicUInt32 {
    AtomicUInt32(raw + fields.offset(index))
  }
  /// One of several atomic fields.
  @_transparent
  public func atomic(_ fields: FieldArray<UInt64>, _ index: Int) -> AtomicUInt64 {
    AtomicUInt64(raw + fields.offset(index))
  }
  /// One of several atomic fields.
  @_transparent
  public func atomic<Value: RawRepresentable>(_ fields: FieldArray<Value>, _ index: Int) -> AtomicUInt64
  where Value.RawValue == UInt64 { AtomicUInt64(raw + fields.offset(index)) }

  /// A spin lock.
  @_transparent
  public func lock(_ field: Field<SpinLock.Word>) -> SpinLock {
    SpinLock(raw + field.offset, rank: field.note.rank)
  }
  /// A lock for readers and writers.
  @_transparent
  public func lock(_ field: Field<ReadWriteLock.Word>) -> ReadWriteLock {
    ReadWriteLock(raw + field.offset, rank: field.note.rank)
  }
  /// A sequence count.
  @_transparent
  public func sequence(_ field: Field<SequenceCount.Word>) -> SequenceCount {
    SequenceCount(raw + field.offset)
  }
}

/// A row as it lies in memory, read without a schedule point and without a lock: between two steps, when nobody acts.
@frozen
public struct RawRow {
  /// The first byte of the row.
  public let raw: UnsafeRawPointer

  /// The row that begins at `raw`.
  @_transparent
  public init(_ raw: UnsafeRawPointer) { self.raw = raw }

  /// A field.
  public subscript<Value>(_ field: Field<Value>) -> Value {
    @_transparent get { (raw + field.offset).assumingMemoryBound(to: Value.self).pointee }
  }

  /// One of several fields.
  public subscript<Value>(_ fields: FieldArray<Value>, _ index: Int) -> Value {
    @_transparent get { (raw + fields.offset(index)).assumingMemoryBound(to: Value.self).pointee }
  }

  /// A row inside this one.
  @_transparent
  public func row<Layout>(_ rows: RowArray<Layout>, _ index: Int = 0) -> RawRow {
    RawRow(raw + rows.offset(index))
  }
}
