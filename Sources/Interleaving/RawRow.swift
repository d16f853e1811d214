/// A row as it lies in memory, read without a schedule point and without a lock: between two steps, when no thread acts.
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
