/// A field of a row: where it lies, what it is called, what protects it.
///
/// This is the only place that knows. Handles, names, raw reads and checks ask the declaration. A chain of
/// declarations folds to a constant, in every module and without optimisation too.
@frozen
public struct Field<Value: BitwiseCopyable>: RowField {
  /// Where it begins in its row.
  public let offset: Int
  /// What it is called.
  public let name: StaticString
  /// What protects it.
  public let note: LockNote
  /// What its offset is a multiple of.
  public let alignment: Int

  @_transparent @usableFromInline
  init(offset: Int, _ name: StaticString, _ note: LockNote, align: Int) {
    self.offset = offset
    self.name = name
    self.note = note
    alignment = align
  }

  /// The first field of a row.
  @_transparent
  public init(_ name: StaticString, _ note: LockNote) {
    self.init(offset: 0, name, note, align: MemoryLayout<Value>.alignment)
  }

  /// One past its last byte; where it begins, if the row decides how far it goes.
  @_transparent
  public var end: Int { offset &+ MemoryLayout<Value>.size }
}

/// Fields of one kind, one after the other.
@frozen
public struct FieldArray<Value: BitwiseCopyable>: RowField {
  /// Where it begins in its row.
  public let offset: Int
  /// What it is called.
  public let name: StaticString
  /// What protects it.
  public let note: LockNote
  /// What its offset is a multiple of.
  public let alignment: Int
  /// How many there are, or `.max` for as many as the row has room for.
  public let count: Int
  /// What numbers them, if it is more than a number.
  public let index: (any RowIndex.Type)?

  @_transparent @usableFromInline
  init(
    offset: Int, _ name: StaticString, _ note: LockNote, count: Int, _ index: (any RowIndex.Type)?,
    align: Int
  ) {
    self.offset = offset
    self.name = name
    self.note = note
    self.count = count
    self.index = index
    alignment = align
  }

  /// The first fields of a row.
  @_transparent
  public init(_ name: StaticString, _ note: LockNote, count: Int, by index: (any RowIndex.Type)? = nil) {
    self.init(offset: 0, name, note, count: count, index, align: MemoryLayout<Value>.alignment)
  }

  /// Where one of the fields lies.
  @_transparent
  public func offset(_ index: Int) -> Int { offset &+ index &* MemoryLayout<Value>.stride }

  /// One past its last byte; where it begins, if the row decides how far it goes.
  @_transparent
  public var end: Int { count == .max ? offset : offset(count) }
}

/// Rows inside a row, one after the other.
@frozen
public struct RowArray<Layout: FixedRow>: RowField {
  /// Where it begins in its row.
  public let offset: Int
  /// What it is called.
  public let name: StaticString
  /// What protects it.
  public let note: LockNote
  /// What its offset is a multiple of.
  public let alignment: Int
  /// How many there are, or `.max` for as many as the row has room for.
  public let count: Int
  /// What numbers them, if it is more than a number.
  public let index: (any RowIndex.Type)?

  @_transparent @usableFromInline
  init(
    offset: Int, _ name: StaticString, _ note: LockNote, count: Int, _ index: (any RowIndex.Type)?,
    align: Int
  ) {
    self.offset = offset
    self.name = name
    self.note = note
    self.count = count
    self.index = index
    alignment = align
  }

  /// The first rows of a row.
  @_transparent
  public init(_ name: StaticString, _ note: LockNote, count: Int, by index: (any RowIndex.Type)? = nil) {
    self.init(offset: 0, name, note, count: count, index, align: Layout.alignment)
  }

  /// Where one of the rows lies.
  @_transparent
  public func offset(_ index: Int) -> Int { offset &+ index &* Layout.stride }

  /// One past its last byte; where it begins, if the row decides how far it goes.
  @_transparent
  public var end: Int { count == .max ? offset : offset(count) }
}

/// An enumeration that numbers the elements of an array in a row.
public typealias RowIndex = CaseIterable & SendableMetatype

/// What fields, arrays of fields and rows inside a row have in common.
public protocol RowField: Sendable {
  /// Where it begins in its row.
  var offset: Int { get }
  /// One past its last byte; where it begins, if the row decides how far it goes.
  var end: Int { get }
  /// What its offset is a multiple of.
  var alignment: Int { get }
  /// What it is called.
  var name: StaticString { get }
  /// What protects it.
  var note: LockNote { get }
  /// The word that holds a byte of the row; nil if the byte is none of this.
  func word(at byte: Int) -> RowWord?
  /// What is wrong with it in itself.
  var flaws: [String] { get }
}

extension RowField {
  /// The field that follows.
  @_transparent
  public func next<Value>(
    _ name: StaticString, _ note: LockNote, align: Int = MemoryLayout<Value>.alignment
  ) -> Field<Value> {
    Field<Value>(offset: aligned(end, to: align), name, note, align: align)
  }

  /// The fields that follow: so many, or as many as the row has room for.
  @_transparent
  public func next<Value>(
    _ name: StaticString, _ note: LockNote, count: Int, by index: (any RowIndex.Type)? = nil,
    align: Int = MemoryLayout<Value>.alignment
  ) -> FieldArray<Value> {
    FieldArray<Value>(offset: aligned(end, to: align), name, note, count: count, index, align: align)
  }

  /// The rows that follow: so many, or as many as the row has room for.
  @_transparent
  public func next<Layout>(
    _ name: StaticString, _ note: LockNote, rows count: Int, by index: (any RowIndex.Type)? = nil,
    align: Int = Layout.alignment
  ) -> RowArray<Layout> {
    RowArray<Layout>(offset: aligned(end, to: align), name, note, count: count, index, align: align)
  }

  /// The bytes of a row of which this is the last field.
  @_transparent
  public func stride(align: Int) -> Int { aligned(end, to: align) }

  /// What is wrong with it in itself.
  public var flaws: [String] { [] }
}

/// The least multiple of a power of two that is not below `offset`.
@_transparent @usableFromInline
func aligned(_ offset: Int, to alignment: Int) -> Int { (offset &+ alignment &- 1) & ~(alignment &- 1) }
