public import Interleaving

/// The layout of four states of sections: a cell of `ByteCells`.
@usableFromInline
package enum SectionRow: FixedRow {
  // Changed under the zone's lock while a section is deferred, else under the hotplug lock.
  @inlinable @_transparent package static var states: Field<BitCell> { Field("states", .atomic) }

  @inlinable @_transparent package static var stride: Int { states.stride(align: 4) }

  @usableFromInline package static var fields: [any RowField] { [states] }
}

/// The layout of four types of pageblocks: a cell of `ByteCells`.
@usableFromInline
package enum PageblockTypesRow: FixedRow {
  // Changed under the zone's lock.
  @inlinable @_transparent package static var types: Field<BitCell> { Field("types", .atomic) }

  @inlinable @_transparent package static var stride: Int { types.stride(align: 4) }

  @usableFromInline package static var fields: [any RowField] { [types] }
}

/// Bits of several things in one word of 32.
@frozen
@usableFromInline
package struct BitCell: RawRepresentable {
  @usableFromInline package let rawValue: UInt32

  @inlinable @inline(__always)
  package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Bits of several things in one word of 64.
@frozen
@usableFromInline
package struct BitWord: RawRepresentable {
  @usableFromInline package let rawValue: UInt64

  @inlinable @inline(__always)
  package init(rawValue: UInt64) { self.rawValue = rawValue }
}
