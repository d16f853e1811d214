public import Interleaving

/// A machine's tables as bytes: for checks between two steps of an execution.
///
/// Reading a row there is no schedule point and takes no lock, so no thread may act on the machine meanwhile.
@frozen
@usableFromInline
package struct StateMap: @unchecked Sendable {
  // Sendable: addresses that never change; the reader makes sure that no thread acts.
  @usableFromInline package let base: UnsafeRawPointer
  @usableFromInline package let layout: TableLayout
  @usableFromInline package let tableShift: Int
  @usableFromInline package let tableBits: Int
  @usableFromInline package let maxOrder: Int
  @usableFromInline package let pageblockOrder: Int
  @usableFromInline package let blockOrder: Int
  @usableFromInline package let zeroPage: Int

  init(_ machine: Machine) {
    base = UnsafeRawPointer(machine.arena)
    layout = machine.layout
    tableShift = machine.tableShift
    tableBits = machine.geometry.tableBits
    maxOrder = machine.geometry.maxOrder
    pageblockOrder = machine.geometry.pageblockOrder
    blockOrder = machine.geometry.blockOrder
    zeroPage = machine.zeroPageFrame.index
  }

  /// A row of a table.
  @inlinable @inline(__always)
  package func row<Layout: FixedRow>(_ table: Table<Layout>, _ index: Int) -> RawRow {
    RawRow(base + table.offset(index))
  }

  /// A row of a table whose rows depend on the machine.
  @inlinable @inline(__always)
  package func row<Layout: RowLayout>(_ table: Table<Layout>, _ index: Int) -> RawRow {
    RawRow(base + table.offset(index))
  }
}

extension Process {
  /// The scopes in force, read without a schedule point.
  package var unannouncedScope: AllocationScope { RawRow(row.raw)[ProcessRow.scope] }
}

/// What the laboratory sees of a machine's state: names, values and changes of its words.
package struct StateObservation: Room {
  package let machine: Machine
}

extension Room {
  /// Names and values of the machine's words.
  @inline(__always)
  package var observation: StateObservation { StateObservation(machine: machine) }
}

extension StateObservation {
  /// The tables as bytes.
  package var stateMap: StateMap { StateMap(machine) }

  /// The order from which a large folio counts its pins exactly.
  package var leastExactOrder: Int { pinRules.leastExactOrder }
  /// What a pin adds to the references of any other folio.
  package var pinWeight: Int32 { pinRules.bias }
}
