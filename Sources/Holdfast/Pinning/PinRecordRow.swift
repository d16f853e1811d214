public import Interleaving

/// The layout of a record of the ledger.
@usableFromInline
package enum PinRecordRow: FixedRow {
  @inlinable @_transparent package static var kind: Field<UInt32> {
    Field("kind", .written(under: .ledger))
  }
  @inlinable @_transparent package static var owner: Field<ProcessID> {
    kind.next("owner", .written(under: .ledger))
  }
  @inlinable @_transparent package static var space: Field<RowID> {
    owner.next("space", .written(under: .ledger))
  }
  @inlinable @_transparent package static var total: Field<UInt32> {
    space.next("pages", .written(under: .ledger))
  }
  @inlinable @_transparent package static var startPage: Field<UInt64> {
    total.next("first page", .written(under: .ledger))
  }
  @inlinable @_transparent package static var remaining: Field<UInt32> {
    startPage.next("pages left", .written(under: .ledger))
  }
  @inlinable @_transparent package static var flags: Field<PinFlags> {
    remaining.next("flags", .written(under: .ledger))
  }
  @inlinable @_transparent package static var slots: Field<UInt32> {
    flags.next("first slot", .written(under: .ledger))
  }
  @inlinable @_transparent package static var slotOrder: Field<UInt32> {
    slots.next("order of slots", .written(under: .ledger))
  }
  @inlinable @_transparent package static var accounting: Field<UInt32> {
    slotOrder.next("accounting", .written(under: .ledger))
  }
  @inlinable @_transparent package static var processor: Field<UInt32> {
    accounting.next("processor", .written(under: .ledger))
  }
  @inlinable @_transparent package static var tick: Field<UInt64> {
    processor.next("time", .written(under: .ledger))
  }
  @inlinable @_transparent package static var purpose: Field<PinLabel> {
    tick.next("purpose", .written(under: .ledger))
  }
  @inlinable @_transparent package static var ownerName: Field<ProcessName> {
    purpose.next("name of the owner", .written(under: .ledger))
  }
  // Written by the holder of the pages.
  @inlinable @_transparent package static var marksDirty: Field<UInt32> {
    ownerName.next("marks dirty", .owner)
  }
  @inlinable @_transparent package static var charged: Field<UInt32> {
    marksDirty.next("charged pages", .written(under: .ledger))
  }
  @inlinable @_transparent package static var chargedToUser: Field<UInt32> {
    charged.next("pages charged to the user", .written(under: .ledger))
  }
  @inlinable @_transparent package static var isOfRing: Field<UInt32> {
    chargedToUser.next("is a ring's", .written(under: .ledger))
  }

  @inlinable @_transparent package static var stride: Int { isOfRing.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] {
    [
      kind, owner, space, total, startPage, remaining, flags, slots, slotOrder, accounting, processor, tick,
      purpose, ownerName, marksDirty, charged, chargedToUser, isOfRing,
    ]
  }
}

/// The layout of a slot of the ledger, which is a word of the array that its holder gets.
@usableFromInline
package enum PinSlotRow: FixedRow {
  @inlinable @_transparent package static var frame: Field<FrameNumber> { Field("frame", .owner) }

  @inlinable @_transparent package static var stride: Int { frame.stride(align: 4) }

  @usableFromInline package static var fields: [any RowField] { [frame] }
}
