import Interleaving

/// Rows of the tables whose rows come and go.
extension Machine {
  /// Where a pool's rows are.
  private func rows(_ pool: TablePool) -> Table<PooledRow> {
    switch pool {
    case .processes: layout.processes.pooled
    case .spaces: layout.spaces.pooled
    case .areas: layout.areas.pooled
    case .anonGroups: layout.anonGroups.pooled
    case .objects: layout.objects.pooled
    case .tablePages: layout.tableMeta.pooled
    case .pinRecords: layout.pinRecords.pooled
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
    let table = rows(pool)
    let state = global.pool(pool)
    var id = state.firstFree
    let reused = id != .none
    if reused {
      state.firstFree = row(table, id)[PooledRow.nextFree]
    } else {
      let next = state.used + 1
      guard next < table.count else { return nil }
      state.used = next
      id = RowID(rawValue: next)
    }
    let row = row(table, id)
    if reused {
      row.raw.initializeMemory(as: UInt8.self, repeating: 0, count: table.stride)
      if pool == .tablePages {
        tablePage(id).row.raw.initializeMemory(as: UInt8.self, repeating: 0, count: 1 &<< tableShift)
      }
    }
    row[PooledRow.live] = 1
    return id
  }

  private func returnRow(_ pool: TablePool, _ id: RowID) {
    let row = row(rows(pool), id)
    let state = global.pool(pool)
    row[PooledRow.live] = 0
    row[PooledRow.nextFree] = state.firstFree
    state.firstFree = id
  }

  private func row(_ table: Table<PooledRow>, _ id: RowID) -> Row {
    Row(arena + (table.start + id.index * table.stride))
  }
}
