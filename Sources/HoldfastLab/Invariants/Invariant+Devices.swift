import Holdfast
import Interleaving

/// What devices reach, against the ledger.
extension Invariant {
  static let devices: [Invariant] = [
    Invariant(
      name: "translated-is-pinned", source: "57; P1, P12",
      statement:
        "what domains translate are the pages of mappings, and the frames those that are pinned for them",
      moment: .quiesced
    ) { context in
      let machine = context.machine
      var records: [RowID: [FrameNumber]] = [:]
      machine.ledger.forEachRecord { record, frames in records[record.id] = Array(frames) }
      var found: [String] = []
      for container in machine.liveContainers {
        let mappings = machine.devices.mappings(of: container).filter(\.isMapped)
        for domain in machine.devices.domains(of: container) {
          var left: [UInt64: FrameNumber] = [:]
          for (page, translated) in machine.devices.translations(of: domain) {
            left[page] = translated.frame
          }
          for mapping in mappings {
            let pinned =
              mapping.source == .none ? mapping.pinned : machine.devices.source(mapping.source).pinned
            let frames = records[pinned] ?? []
            for index in 0..<mapping.pages {
              let page = mapping.iova >> 12 + UInt64(index)
              let index = index + mapping.firstPage
              let reached = left.removeValue(forKey: page)
              // Pins of the zero page are given back at once.
              var pinned = index < frames.count ? frames[index] : .none
              if pinned == .none, reached == machine.zeroPageFrame { pinned = machine.zeroPageFrame }
              if reached != pinned || pinned == .none {
                found.append(
                  "page 0x\(String(page, radix: 16)) of domain \(domain.id.rawValue) reaches "
                    + "\(reached ?? .none), and \(pinned) is pinned")
              }
            }
          }
          for (page, frame) in left {
            found.append(
              "page 0x\(String(page, radix: 16)) of domain \(domain.id.rawValue) reaches \(frame), and no "
                + "mapping covers it")
          }
        }
      }
      return found
    },
    Invariant(
      name: "exclusive-is-unmapped", source: "53; P8",
      statement:
        "where a device has a page exclusively, the processor's entry says so, and no entry maps the page",
      moment: .quiesced
    ) { context in
      let machine = context.machine
      var found: [String] = []
      for mirror in machine.mirrors.all {
        for held in machine.mirrors.pages(of: mirror) {
          let what =
            "mirror \(mirror.id.rawValue) has \(held.frame) at page 0x\(String(held.page, radix: 16)) exclusively"
          if !context.recount.exclusive.contains(where: {
            $0 == (held.frame, held.page, mirror.space)
          }) {
            found.append("\(what), and no entry there says so")
          }
          if context.recount.anonymousMappings.contains(where: { mapped in
            mapped.frame == held.frame && !context.recount.exclusive.contains { $0 == mapped }
          }) {
            found.append("\(what), and an entry maps it")
          }
        }
      }
      for entry in context.recount.exclusive {
        let page = machine.memmap.page(machine.memmap.head(of: entry.frame))
        if !page.mapping.isAnonymous || page.isHugetlb {
          found.append("\(entry.frame) is a device's, and not anonymous")
        }
      }
      return found
    },
    Invariant(
      name: "charge-of-a-mapping", source: "57, 58",
      statement: "a mapping is charged every page that is pinned for it, and nothing while none is",
      moment: .quiesced
    ) { context in
      let machine = context.machine
      var pinned: [RowID: Int] = [:]
      machine.ledger.forEachRecord { record, frames in
        pinned[record.id] = frames.count { $0 != .none }
      }
      return machine.sharedMemory.compactMap { source -> String? in
        let expected = source.pinned == .none ? 0 : pinned[source.pinned] ?? 0
        return source.charged == expected
          ? nil
          : "shared memory \(source.id.rawValue) is charged \(source.charged) pages, \(expected) are pinned"
      }
        + machine.liveContainers.flatMap { container in
          machine.devices.mappings(of: container).compactMap { mapping in
            let expected = mapping.pinned == .none ? 0 : pinned[mapping.pinned] ?? 0
            return mapping.locked == expected
              ? nil
              : "mapping \(mapping.id.rawValue) is charged \(mapping.locked) pages, \(expected) are pinned"
          }
        }
    },
  ]
}

extension Machine {
  /// Memory that mappings of IO address spaces share; nothing runs.
  var sharedMemory: [SharedMemory] {
    guard pools.usedRows(.sharedMemory) > 0 else { return [] }
    return (1...pools.usedRows(.sharedMemory)).map { devices.source(RowID(rawValue: UInt32($0))) }
      .filter { $0.live != 0 }
  }

  /// The containers that are open; nothing runs.
  var liveContainers: [Container] {
    guard pools.usedRows(.containers) > 0 else { return [] }
    return (1...pools.usedRows(.containers)).map { devices.container(RowID(rawValue: UInt32($0))) }
      .filter { $0.live != 0 }
  }
}
