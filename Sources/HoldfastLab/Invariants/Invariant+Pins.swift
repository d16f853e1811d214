import Holdfast
import Interleaving

/// What must be true of pages that callers hold, by the ledger's records.
///
/// No entry remembers which page it mapped before, so a pin is not compared with what is mapped at its address now: its
/// owner may have discarded the page. But a page that was replaced while it was pinned can be recognised.
extension Invariant {
  static let pins: [Invariant] = [
    Invariant(
      name: "held-page-belongs", source: "21, 24, 59; P1, P2",
      statement: "a page that a caller holds is allocated and belongs to the memory it was taken from",
      moment: .quiesced
    ) { context in
      context.held { _, _, frame in
        let machine = context.machine
        let head = machine.memmap.page(machine.memmap.head(of: frame))
        if frame == machine.zeroPageFrame { return nil }
        if head.type != .none { return "\(frame) is held and \(head.type)" }
        return head.mapping == .none ? "\(frame) is held and belongs to nothing: it was moved or freed" : nil
      }
    },
    Invariant(
      name: "pinned-exclusive", source: "22; P2", statement: "a pinned anonymous page stays exclusive",
      moment: .quiesced
    ) { context in
      guard context.machine.policy.tracksExclusive else { return [] }
      return context.held { record, _, frame in
        guard record.kind == Ledger.pinKind else { return nil }
        let page = context.machine.memmap.page(frame)
        let head = context.machine.memmap.page(context.machine.memmap.head(of: frame))
        // Of a folio that one PMD entry maps, the head has the flag for all.
        let isExclusive = page.has(.anonExclusive) || head.has(.anonExclusive)
        return isExclusive || !head.mapping.isAnonymous ? nil : "\(frame) is pinned and not exclusive"
      }
    },
    Invariant(
      name: "pin-address", source: "39, 40; P2, P3",
      statement: "a pinned anonymous page is mapped where it was pinned, or nowhere (where forks copy it)",
      moment: .quiesced
    ) { context in
      let places = context.places
      let policy = context.machine.policy
      return context.held { record, page, frame in
        guard record.kind == Ledger.pinKind else { return nil }
        let folio = context.machine.memmap.page(context.machine.memmap.head(of: frame))
        guard folio.mapping.isAnonymous else { return nil }
        let isCopied = policy.forkCopy == .all || policy.forkCopy == .outsidePools && !folio.isHugetlb
        guard policy.tracksExclusive || isCopied && record.flags.contains(.write) else { return nil }
        let other = places[frame]?.first { $0 != MappedPlace(space: record.space, page: page) }
        return other.map {
          "\(frame) was pinned at page 0x\(String(page, radix: 16)) and is mapped at page "
            + "0x\(String($0.page, radix: 16)) of \($0.space == record.space ? "the same" : "another") space"
        }
      }
    },
    Invariant(
      name: "count-sign", source: "1; P4",
      statement: "no count is negative, but for references of a small page with as many pins as fit",
      moment: .always
    ) { context in
      context.frames { frame, page in
        let counts = [page.refcount.load(), page.mapcount.load(), page.pincount.load()]
        let references = context.recount.references[frame] ?? 0
        if counts[0] < 0, !page.isLarge, references > Int(Int32.max) { return nil }
        return counts.contains { $0 < 0 } ? "\(frame) has references, mappings and pins \(counts)" : nil
      }
    },
  ]
}

/// An address of an address space.
private struct MappedPlace: Hashable {
  var space: RowID
  var page: UInt64
}

extension InvariantContext {
  /// Runs a check on every page that the ledger lists as held, with its record and the virtual page.
  fileprivate func held(_ check: (PinRecord, UInt64, FrameNumber) -> String?) -> [String] {
    var found: [String] = []
    machine.ledger.forEachRecord { record, frames in
      for (index, frame) in frames.enumerated() where frame != .none {
        if let what = check(record, record.startPage + UInt64(index), frame) { found.append(what) }
      }
    }
    return found
  }

  /// Where each frame is mapped.
  fileprivate var places: [FrameNumber: Set<MappedPlace>] {
    var places: [FrameNumber: Set<MappedPlace>] = [:]
    for index in 1...max(1, machine.pools.usedRows(.spaces)) {
      let id = RowID(rawValue: UInt32(index))
      let space = machine.spaces.space(id)
      guard space.live != 0, space.rootTable != .none else { continue }
      for mapped in machine.spaces.mappings(of: space) where mapped.entry.mapsFrame && !mapped.entry.isSpecial
      {
        for offset in 0..<(mapped.level == 1 ? 1 << machine.geometry.tableBits : 1) {
          places[mapped.entry.frame + offset, default: []]
            .insert(MappedPlace(space: id, page: mapped.page + UInt64(offset)))
        }
      }
    }
    return places
  }
}
