public import Interleaving

/// One flat table of the arena: where it begins, and how many rows of which size it has.
@frozen
@usableFromInline
package struct Table<Layout: RowLayout>: Sendable {
  /// Where it begins in the arena.
  @usableFromInline package let start: Int
  /// Bytes from one row to the next.
  @usableFromInline package let stride: Int
  /// How many rows it has room for.
  @usableFromInline package let count: Int

  @inlinable @inline(__always)
  init(start: Int, stride: Int, count: Int) {
    self.start = start
    self.stride = stride
    self.count = count
  }

  /// One past its last byte.
  @inlinable @inline(__always)
  package var end: Int { start &+ count &* stride }

  /// Where a row begins in the arena, if its size depends on the machine.
  @inlinable @inline(__always)
  package func offset(_ index: Int) -> Int { start &+ index &* stride }

  /// The row that holds a byte of the arena, and which of its bytes that is.
  @inlinable @inline(__always)
  package func place(of offset: Int) -> (row: Int, byte: Int)? {
    if offset < start || offset >= end { return nil }
    return ((offset &- start) / stride, (offset &- start) % stride)
  }
}

extension Table where Layout: FixedRow {
  /// Where a row begins in the arena.
  @inlinable @inline(__always)
  package func offset(_ index: Int) -> Int { start &+ index &* Layout.stride }

  /// The row that holds a byte of the arena, and which of its bytes that is.
  @inlinable @inline(__always)
  package func place(of offset: Int) -> (row: Int, byte: Int)? {
    // Without a sign, so that a size that is a power of two costs a shift.
    let inside = UInt(bitPattern: offset &- start)
    let stride = UInt(bitPattern: Layout.stride)
    if inside >= UInt(bitPattern: count) &* stride { return nil }
    return (Int(bitPattern: inside / stride), Int(bitPattern: inside % stride))
  }
}

extension Table where Layout: FixedRow {
  /// The same rows, of which only the beginning is known.
  @inline(__always)
  var pooled: Table<PooledRow> { Table<PooledRow>(start: start, stride: Layout.stride, count: count) }
}

/// A table as it lies in the arena, whatever its rows are: for names, and for the check of its layout.
@usableFromInline
package struct PlacedTable: Sendable {
  /// Where it begins and ends in the arena.
  @usableFromInline package let bytes: Range<Int>
  /// Bytes from one row to the next.
  @usableFromInline package let stride: Int
  /// What its rows consist of.
  @usableFromInline package let layout: any RowLayout.Type
  /// What a row is called; empty for the one that needs no name.
  @usableFromInline package let rowName: @Sendable (Int) -> String
}

/// Puts tables one behind the other.
struct TablePlan {
  private(set) var size = 0
  private(set) var tables: [PlacedTable] = []

  /// A table whose rows have one size in every machine.
  mutating func place<Layout: FixedRow>(
    _ count: Int, align: Int = 64, _ rowName: @escaping @Sendable (Int) -> String
  ) -> Table<Layout> {
    place(count, stride: Layout.stride, align: align, rowName)
  }

  /// A table of rows of one size in bytes.
  mutating func place<Layout: RowLayout>(
    _ count: Int, stride: Int, align: Int = 64, _ rowName: @escaping @Sendable (Int) -> String
  ) -> Table<Layout> {
    let start = (size + align - 1) / align * align
    size = start + count * stride
    tables.append(PlacedTable(bytes: start..<size, stride: stride, layout: Layout.self, rowName: rowName))
    return Table(start: start, stride: stride, count: count)
  }
}
