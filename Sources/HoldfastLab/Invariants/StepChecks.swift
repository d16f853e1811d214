package import Holdfast
package import Interleaving

/// The invariants that are checked after every step; the word that the step's operation names decides which.
///
/// Nothing here takes a lock, or allocates unless there is a breach. Rows are read as they lie in memory, between two
/// steps.
package final class StepChecks {
  let machine: Machine
  let map: StateMap
  let policy: PlacementPolicy
  let leastExactOrder: Int
  let pinWeight: Int32

  /// How many actors are in a step that releases pins.
  package var releasing = 0
  /// Whether steps take pages away from addresses, so that a pin may outlive its mapping.
  package var isDiscarding = false
  /// The process that acts, by actor; nil for a child of a fork.
  package var processes: [Process?] = []
  /// The CMA areas.
  let areas: [FrameRange]

  /// The checks of a machine.
  package init(_ machine: Machine) {
    self.machine = machine
    map = machine.observation.stateMap
    policy = machine.policy
    leastExactOrder = machine.observation.leastExactOrder
    pinWeight = machine.observation.pinWeight
    areas = machine.configuration.cmaAreas.indices.map { index in
      FrameRange(start: machine.cma.area(index).base, count: machine.cma.area(index).count)
    }
  }

  /// The breach that an actor's operation on a word causes, if any.
  package func check(_ kind: PointKind, _ address: UInt, by actor: Int) -> InvariantViolation? {
    let offset = Int(bitPattern: address) &- Int(bitPattern: map.base)
    if UInt(bitPattern: offset) >= UInt(bitPattern: map.layout.size) { return nil }
    let isLook = kind == .load || kind == .awaitClear
    let entries = map.layout.tablePages.start
    if offset >= entries {
      let table = (offset &- entries) &>> map.tableShift
      if !map.isTableLive(table) { return freedTable(table) }
      if isLook { return nil }
      return entry(map.entry(table, ((offset &- entries) & (1 &<< map.tableShift &- 1)) &>> 3), table)
    }
    if isLook { return nil }
    if let place = map.layout.frames.place(of: offset) {
      return page(place.row, word: place.byte, kind, by: actor)
    }
    return table(kind, offset)
  }

  /// The breach that an operation on another table causes, if any.
  private func table(_ kind: PointKind, _ offset: Int) -> InvariantViolation? {
    if let place = map.layout.zones.place(of: offset) {
      if place.byte != ZoneRow.lock.offset { return zoneCounts() }
      return kind == .release ? freeLists(place.row) : nil
    }
    guard kind == .release else { return nil }
    if let place = map.layout.perCPULists.place(of: offset) {
      return place.byte == PerCPUListsRow.lock.offset ? perCPULists(place.row) : nil
    }
    if let place = map.layout.nodes.place(of: offset) {
      return place.byte == NodeRow.lruLock.offset ? lruLists(place.row) : nil
    }
    if let place = map.layout.mirrors.place(of: offset) {
      return place.byte == MirrorRow.lock.offset ? mirror(place.row) : nil
    }
    guard let place = map.layout.global.place(of: offset) else { return nil }
    switch place.byte {
    case GlobalRow.ledgerLock.offset: return ledger()
    case GlobalRow.hotplugLock.offset: return zoneCounts()
    default: return nil
    }
  }

  @inline(never)
  private func freedTable(_ table: Int) -> InvariantViolation {
    StepInvariant.walkedIsLive.broken("an entry of table page \(table) is used, which is not in use")
  }
}
