import Holdfast
import Interleaving

/// References, mappings and pins against the tables.
extension Invariant {
  static let counting: [Invariant] = [
    Invariant(
      name: "reference-count", source: "10, 11; P4",
      statement: "a folio's references are its mappings, cache slots, batches, isolations, gets and pins",
      moment: .quiesced
    ) { context in
      context.folios { head, page in
        guard page.mapping != .none || context.recount.listed[head] != nil else { return nil }
        let expected = (context.recount.references[head] ?? 0) + (context.isolated[head] ?? 0)
        let found = Int(page.refcount.load())
        // An overflowed count is below zero; its value is the number that it has overflowed to.
        if found < 0, found == Int(Int32(truncatingIfNeeded: expected)) { return nil }
        return found == expected ? nil : "\(head) has \(found) references, the tables explain \(expected)"
      }
    },
    Invariant(
      name: "reference-floor", source: "1, 2, 59; P1",
      statement: "what the tables refer to is allocated, and has at least that many references",
      moment: .quiesced
    ) { context in
      context.recount.references.compactMap { head, expected in
        let page = context.machine.memmap.page(head)
        let found = Int(page.refcount.load())
        if page.type != .none && page.type != .table {
          return "the tables refer to \(head), whose page is of type \(page.type)"
        }
        return found < 0 || found >= expected
          ? nil : "\(head) has \(found) references, the tables hold \(expected)"
      }
    },
    Invariant(
      name: "map-count", source: "9; P4", statement: "a page's mapcount is the number of entries that map it",
      moment: .quiesced
    ) { context in
      context.frames { frame, page in
        let small = Int(page.mapcount.load())
        let expected = context.recount.smallMappings[frame] ?? 0
        if small != expected { return "\(frame) has mapcount \(small), \(expected) PTEs map it" }
        let entire = Int(page.entireMapcount.load())
        let huge = context.recount.hugeMappings[frame] ?? 0
        guard entire == huge else {
          return "\(frame) has entire mapcount \(entire), \(huge) PMD entries map it"
        }
        let mapped = Int(page.pagesMapped.load())
        let pages = page.isLarge && !page.isHugetlb ? 1 << page.order : 0
        let pieces = (0..<pages).count { context.recount.smallMappings[frame + $0] ?? 0 > 0 }
        let counted = pieces + (pages > 0 && huge > 0 ? Int(Page.wholeMapping) : 0)
        return mapped == counted
          ? nil : "\(frame) counts \(mapped) as mapped of its folio, the tables say \(counted)"
      }
    },
    Invariant(
      name: "pin-count", source: "11, 12; P4",
      statement: "a folio that counts pins exactly has as many as the ledger says", moment: .quiesced
    ) { context in
      context.folios { head, page in
        let found = Int(page.pincount.load())
        let expected = context.machine.pinRules.countsExactly(page) ? context.recount.pins[head] ?? 0 : 0
        return found == expected ? nil : "\(head) has pincount \(found), the ledger \(expected)"
      }
    },
    Invariant(
      name: "pinned-is-seen", source: "13; P2", statement: "a pinned folio is reported as maybe pinned",
      moment: .always
    ) { context in
      guard context.machine.policy.counting != .reference else { return [] }
      return context.recount.pins.compactMap { head, pins in
        pins > 0 && !context.machine.folios.isMaybePinned(head)
          ? "\(head) has \(pins) pins that the test for pins does not see" : nil
      }
    },
    Invariant(
      name: "pin-statistics", source: "15, 16; P10",
      statement: "nr_foll_pin_acquired minus nr_foll_pin_released is the number of pins", moment: .quiesced
    ) { context in
      guard context.machine.policy.counting != .reference else { return [] }
      let acquired = context.machine.total(.follPinAcquired, node: nil)
      let released = context.machine.total(.follPinReleased, node: nil)
      let pins = context.recount.pins.values.reduce(0, +)
      return acquired - released == Int64(pins)
        ? [] : ["\(acquired) acquired, \(released) released, \(pins) pins in the ledger"]
    },
    Invariant(
      name: "zero-page-uncounted", source: "23", statement: "the zero page has no counted pins (6.1.192 on)",
      moment: .always
    ) { context in
      guard !context.machine.configuration.policy.zeroPageCounted else { return [] }
      let pins = context.recount.pins[context.machine.zeroPageFrame] ?? 0
      return pins == 0 ? [] : ["the zero page has \(pins) counted pins"]
    },
    Invariant(
      name: "anon-exclusive", source: "37, 38; P2",
      statement: "an exclusive page is mapped by one process; writable anonymous pages are exclusive",
      moment: .quiesced
    ) { context in
      guard context.machine.policy.tracksExclusive else { return [] }
      var found = context.recount.writableNotExclusive.map { "\($0) is mapped writable but not exclusive" }
      for (frame, spaces) in context.recount.mappers where spaces.count > 1 {
        found.append("\(frame) is exclusive and mapped by \(spaces.count) address spaces")
      }
      return found
    },
  ]
}

extension Invariant {
  static let reverseMapping: [Invariant] = [
    Invariant(
      name: "group-lists-mappers", source: "36; P1",
      statement: "the group of an anonymous page lists every area that maps the page, at the page's offset",
      moment: .quiesced
    ) { context in
      context.recount.anonymousMappings.compactMap { mapped in
        let machine = context.machine
        let head = machine.memmap.head(of: mapped.frame)
        let folio = machine.memmap.page(head)
        let what =
          "\(mapped.frame), mapped at page 0x\(String(mapped.page, radix: 16)) of space "
          + "\(mapped.space.rawValue),"
        guard let area = machine.spaces.area(mapped.page, of: mapped.space) else {
          return "\(what) is in no area"
        }
        guard folio.mapping.anonGroup == area.group else {
          return "\(what) is of another group than its area"
        }
        guard folio.index + UInt64(mapped.frame.index - head.index) == area.offset else {
          return "\(what) has index \(folio.index), where the area's offset is \(area.offset)"
        }
        return machine.reverseMap.lists(area.id, in: area.group)
          ? nil : "\(what) is in an area that its group misses"
      }
    }
  ]
}

extension InvariantContext {
  /// Runs a check on every frame that has metadata.
  func frames(_ check: (FrameNumber, Page) -> String?) -> [String] {
    var found: [String] = []
    machine.observation.forEachFrameWithMetadata { frame in
      if let what = check(frame, machine.memmap.page(frame)) { found.append(what) }
    }
    return found
  }

  /// Runs a check on every allocated folio.
  func folios(_ check: (FrameNumber, Page) -> String?) -> [String] {
    frames { frame, page in
      guard page.type == .none, !page.isTail, page.refcount.load() != 0 else { return nil }
      return check(frame, page)
    }
  }
}
