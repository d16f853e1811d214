import Holdfast
import Interleaving

/// Where pins may be, and what blocks and areas promise.
extension Invariant {
  static let placement: [Invariant] = [
    Invariant(
      name: "pin-placement", source: "17, 18, 43; P5",
      statement: "no long-term pin is where the policy forbids one (policies that honour failures)",
      moment: .quiesced
    ) { context in
      // The policy as it was configured: without a safeguard, the machine's own may differ.
      switch context.machine.configuration.policy.failure {
      case .ignored, .emptyListSucceeds: return []
      case .limited, .migrationFatal: break
      }
      var found: [String] = []
      context.machine.ledger.forEachRecord { record, frames in
        guard record.flags.contains(.longterm) else { return }
        for frame in frames where frame != .none {
          // The pin is no breach if the block was isolated after the pin was taken.
          if context.machine.buddy.pageblockType(of: context.machine.memmap.head(of: frame)) == .isolate {
            continue
          }
          if !context.machine.folios.isLongtermPinnable(frame) {
            found.append("\(frame) is pinned long term")
          }
        }
      }
      return found
    },
    Invariant(
      name: "offline-is-empty", source: "41; P12",
      statement: "a block that is offline holds nothing: no references, mappings, lists or free chunks",
      moment: .quiesced
    ) { context in
      // Its frames have no metadata any more, so they are looked at one by one.
      let machine = context.machine
      let offline = (0..<machine.blockCount).lazy.map(BlockID.init(rawValue:)).filter {
        machine.blocks.block($0).state == .offline
      }
      return offline.flatMap { machine.frames(of: $0).frames }.compactMap { frame in
        let page = machine.memmap.page(frame)
        if page.type == .buddy || page.type == .perCPU { return "\(frame) is free in an offline block" }
        return page.refcount.load() == 0 && page.mapcount.load() == 0 && !page.has(.lru)
          ? nil : "\(frame) is in use in an offline block"
      }
    },
    Invariant(
      name: "blocks-settled", source: "42; P9", statement: "no block is on its way to offline",
      moment: .quiesced
    ) { context in
      (0..<context.machine.blockCount).compactMap { index in
        let id = BlockID(rawValue: index)
        return context.machine.blocks.block(id).state == .goingOffline ? "\(id) is still going offline" : nil
      }
    },
    Invariant(
      name: "cma-bitmap", source: "47, 48; P10",
      statement: "pages that a CMA area has handed out are in no free chunk", moment: .quiesced
    ) { context in
      context.machine.cmaAreas.flatMap { area in
        context.machine.cma.allocatedRanges(area: area).flatMap(\.frames).compactMap { frame in
          let page = context.machine.memmap.page(frame)
          return page.type == .buddy || page.type == .perCPU ? "\(frame) is handed out and free" : nil
        }
      }
    },
    Invariant(
      name: "movable-zone", source: "28, 43, 48",
      statement: "ZONE_MOVABLE and CMA pageblocks hold no page tables", moment: .always
    ) { context in
      context.recount.tableFrames.compactMap { frame in
        let machine = context.machine
        if machine.memmap.page(frame).zone.kind == .movable {
          return "\(frame) holds a page table in ZONE_MOVABLE"
        }
        return machine.buddy.pageblockType(of: frame) == .cma ? "\(frame) holds a page table in CMA" : nil
      }
    },
    Invariant(
      name: "resident-pages", source: "P10",
      statement: "NR_ANON_PAGES counts the anonymous pages that are mapped", moment: .quiesced
    ) { context in
      let machine = context.machine
      var anon = 0
      // Huge pages of the pools count in no statistic.
      for (head, pages) in context.mappedPages
      where machine.memmap.page(head).mapping.isAnonymous && !machine.memmap.page(head).isHugetlb {
        anon += pages
      }
      let counted = machine.total(.anonPages, node: nil)
      return counted == Int64(anon) ? [] : ["nr_anon_pages is \(counted), \(anon) anonymous pages are mapped"]
    },
  ]
}

extension InvariantContext {
  /// Mapped pages by folio: all of a folio that a PMD entry maps, else the pages that PTEs map.
  var mappedPages: [FrameNumber: Int] {
    var mapped: [FrameNumber: Int] = [:]
    for (frame, count) in recount.smallMappings where count > 0 {
      let head = machine.memmap.head(of: frame)
      if recount.hugeMappings[head] == nil { mapped[head, default: 0] += 1 }
    }
    for (head, count) in recount.hugeMappings where count > 0 {
      mapped[head] = machine.memmap.folioPages(head)
    }
    return mapped
  }
}
