import Interleaving

/// Rows of the tables whose rows come and go.
package struct Pools: Room {
  package let machine: Machine

  /// How many rows of a pool were ever in use; rows are numbered from 1.
  ///
  /// - Locks: takes the tables lock, for pin records the ledger lock.
  package func usedRows(_ pool: TablePool) -> Int {
    let lock = pool == .pinRecords ? global.ledgerLock : global.tablesLock
    return lock.withLock { Int(global.pool(pool).used) }
  }
}

extension Room {
  /// The tables whose rows come and go.
  @inline(__always)
  package var pools: Pools { Pools(machine: machine) }
}

extension Pools {
  /// Where a pool's rows are.
  private func rows(_ pool: TablePool) -> Table<PooledRow> {
    switch pool {
    case .processes: machine.layout.processes.pooled
    case .spaces: machine.layout.spaces.pooled
    case .areas: machine.layout.areas.pooled
    case .anonGroups: machine.layout.anonGroups.pooled
    case .objects: machine.layout.objects.pooled
    case .tablePages: machine.layout.tableMeta.pooled
    case .containers: machine.layout.containers.pooled
    case .domains: machine.layout.domains.pooled
    case .deviceGroups: machine.layout.deviceGroups.pooled
    case .mappings: machine.layout.mappings.pooled
    case .sharedMemory: machine.layout.sharedMemory.pooled
    case .mirrors: machine.layout.mirrors.pooled
    case .mirroredPages: machine.layout.mirroredPages.pooled
    case .pinRecords: machine.layout.pinRecords.pooled
    }
  }

  /// Takes a row: zeros, but for its first word, which is 1.
  ///
  /// A table page's entries are zeros too. Takes the tables lock, except for pin records, whose caller holds the ledger lock.
  ///
  /// - Returns: nil if the table is full or an injected failure says so.
  package func allocate(_ pool: TablePool) -> RowID? {
    if failures.shouldFail(.table) { return nil }
    return pool == .pinRecords
      ? allocateRow(pool) : global.tablesLock.withLock { allocateRow(pool) }
  }

  /// Gives a row back; no thread may use it any more.
  package func free(_ pool: TablePool, _ id: RowID) {
    if pool == .pinRecords {
      freeRow(pool, id)
    } else {
      global.tablesLock.withLock { freeRow(pool, id) }
    }
  }

  private func allocateRow(_ pool: TablePool) -> RowID? {
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
        (machine.tableArena + (id.index &<< machine.tableShift))
          .initializeMemory(as: UInt8.self, repeating: 0, count: 1 &<< machine.tableShift)
      }
    }
    row[PooledRow.live] = 1
    return id
  }

  private func freeRow(_ pool: TablePool, _ id: RowID) {
    let row = row(rows(pool), id)
    let state = global.pool(pool)
    row[PooledRow.live] = 0
    row[PooledRow.nextFree] = state.firstFree
    state.firstFree = id
  }

  private func row(_ table: Table<PooledRow>, _ id: RowID) -> Row {
    Row(machine.arena + (table.start + id.index * table.stride))
  }
}
