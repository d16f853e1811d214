import Holdfast
import Interleaving

/// What pinned pages are charged to, against the ledger.
extension Invariant {
  static let charging: [Invariant] = [
    Invariant(
      name: "charged-pages", source: "57",
      statement: "what an address space and the user are charged is what the ledger and the mappings say",
      moment: .quiesced
    ) { context in
      let machine = context.machine
      var locked: [RowID: Int] = [:]
      var pinned: [RowID: Int] = [:]
      var user = 0
      machine.ledger.forEachRecord { record, _ in
        user += record.chargedToUser
        if record.accounting == .locked {
          locked[record.space, default: 0] += record.charged
        } else if record.accounting != .none {
          pinned[record.space, default: 0] += record.charged
        }
      }
      for container in machine.liveContainers {
        for mapping in machine.devices.mappings(of: container) {
          locked[mapping.space, default: 0] += mapping.locked
        }
      }
      for source in machine.sharedMemory {
        pinned[source.space, default: 0] += source.charged
        if source.charge == .space { locked[source.space, default: 0] += source.charged }
        if source.charge == .user { user += source.charged }
      }
      var found: [String] = []
      for index in 1...max(1, machine.pools.usedRows(.spaces)) {
        let id = RowID(rawValue: UInt32(index))
        let space = machine.spaces.space(id)
        guard space.live != 0 else { continue }
        let counts = [Int(space.lockedPages.load()), Int(space.pinnedPages.load())]
        let expected = [locked[id] ?? 0, pinned[id] ?? 0]
        if counts != expected {
          found.append("space \(index) has \(counts) pages locked and pinned, the ledger \(expected)")
        }
      }
      let total = Int(machine.global.userLockedPages.load())
      if total != user { found.append("the user is charged \(total) pages, the ledger says \(user)") }
      return found
    },
    Invariant(
      name: "charge-of-a-pin", source: "57, 58",
      statement: "VFIO is charged every page but the zero page, io_uring every folio whole and once",
      moment: .quiesced
    ) { context in
      let machine = context.machine
      var records: [(accounting: PinAccounting, charged: Int, user: Int, frames: [FrameNumber])] = []
      var ofRings: [String] = []
      machine.ledger.forEachRecord { record, frames in
        guard record.isOfRing else {
          records.append((record.accounting, record.charged, record.chargedToUser, Array(frames)))
          return
        }
        // Folios that another buffer of the ring has are charged there.
        let most = machine.pins.wholeFolios(frames)
        if record.charged > most || ![0, record.charged].contains(record.chargedToUser) {
          ofRings.append("a ring's buffer is charged \(record.charged) pages, its folios have \(most)")
        }
      }
      return ofRings
        + records.compactMap { record -> String? in
          let held = record.frames.count { $0 != .none }
          let expected: Int
          switch record.accounting {
          case .none: expected = 0
          case .pinned: expected = held
          case .locked: expected = machine.pins.unreserved(record.frames)
          case .registered:
            // A buffer that is given back in part stays charged whole.
            guard held == record.frames.count else { return nil }
            expected = machine.pins.wholeFolios(record.frames)
            guard record.user == 0 || record.user == expected else {
              return "\(held) registered pages are charged \(record.user) to the user, not \(expected)"
            }
          }
          return record.charged == expected
            ? nil : "\(held) pages for \(record.accounting) are charged as \(record.charged), not \(expected)"
        }
    },
  ]
}
