import Interleaving

/// Rows of the tables whose rows come and go.
extension Machine {
  /// First byte, bytes of a row, and rows of a pool's table.
  private func table(_ pool: TablePool) -> (offset: Int, stride: Int, rows: Int) {
    switch pool {
    case .processes: (layout.processes, Process.stride, layout.limits.processes)
    case .spaces: (layout.spaces, AddressSpace.stride, layout.limits.processes)
    case .areas: (layout.areas, Area.stride, layout.limits.areas)
    case .anonGroups: (layout.anonGroups, AnonGroup.stride, layout.limits.areas)
    case .objects: (layout.objects, BackingObject.stride, layout.limits.objects)
    case .pinRecords: (layout.pinRecords, PinRecord.stride, layout.limits.pinRecords)
    case .tablePages: (layout.tableMeta, TableMeta.stride, layout.tablePageCount)
    }
  }

  /// Takes a row: zeros, but for its first word, which is 1.
  ///
  /// A table page's entries are zeros too. Takes the tables lock, except for pin records, whose caller holds the ledger lock.
  ///
  /// - Returns: nil if the table is full or an injected failure says so.
  func takePoolRow(_ pool: TablePool) -> RowID? {
    if shouldFail(.table) { return nil }
    return pool == .pinRecords
      ? takeRow(pool) : global.tablesLock.withLock { takeRow(pool) }
  }

  /// Gives a row back; nobody may still look at it.
  func returnPoolRow(_ pool: TablePool, _ id: RowID) {
    if pool == .pinRecords {
      returnRow(pool, id)
    } else {
      global.tablesLock.withLock { returnRow(pool, id) }
    }
  }

  private func takeRow(_ pool: TablePool) -> RowID? {
    let (offset, stride, rows) = table(pool)
    let state = global.pool(pool)
    var id = RowID(rawValue: state.firstFree)
    let reused = id != .none
    if reused {
      state.firstFree = Row(arena + (offset + id.index * stride)).plain(4)
    } else {
      let next = state.used + 1
      guard next < rows else { return nil }
      state.used = next
      id = RowID(rawValue: next)
    }
    let row = arena + (offset + id.index * stride)
    if reused {
      row.initializeMemory(as: UInt8.self, repeating: 0, count: stride)
      if pool == .tablePages {
        (tableArena + (id.index &<< tableShift))
          .initializeMemory(as: UInt8.self, repeating: 0, count: 1 &<< tableShift)
      }
    }
    Row(row).setPlain(0, UInt32(1))
    return id
  }

  private func returnRow(_ pool: TablePool, _ id: RowID) {
    let (offset, stride, _) = table(pool)
    let row = Row(arena + (offset + id.index * stride))
    let state = global.pool(pool)
    row.setPlain(0, UInt32(0))
    row.setPlain(4, state.firstFree)
    state.firstFree = id.rawValue
  }
}
