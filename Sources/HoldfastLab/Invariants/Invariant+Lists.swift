import Holdfast
import Interleaving

/// Free lists, LRU lists and zone counts against the tables.
extension Invariant {
  static let lists: [Invariant] = [
    Invariant(
      name: "free-is-unused", source: "2, 3; P1",
      statement: "a free chunk has no references, mappings or pins", moment: .always
    ) { context in
      context.frames { frame, page in
        guard page.type == .buddy || page.type == .perCPU else { return nil }
        for i in 0..<(1 << page.order) {
          let part = context.machine.memmap.page(frame + i)
          if part.refcount.load() != 0 {
            return "\(frame + i) is free with \(part.refcount.load()) references"
          }
          if part.mapcount.load() != 0 { return "\(frame + i) is free and mapped" }
          if part.isTail || part.pincount.load() != 0 { return "\(frame + i) is free with counts of a folio" }
        }
        return nil
      }
    },
    Invariant(
      name: "free-counts", source: "5, 7",
      statement:
        "NR_FREE_PAGES, NR_FREE_CMA_PAGES and the count of ISOLATE pageblocks are what the lists hold",
      moment: .quiesced
    ) { context in
      context.machine.zones.flatMap { id in
        let zone = context.machine.buddy.zone(id)
        let counted = context.machine.buddy.recountFree(zone: id)
        var found: [String] = []
        if zone.free.load() != UInt64(counted.free) {
          found.append("\(id): \(zone.free.load()) frames free, the lists hold \(counted.free)")
        }
        if zone.freeCMA.load() != UInt64(counted.freeCMA) {
          found.append("\(id): \(zone.freeCMA.load()) CMA frames free, the lists hold \(counted.freeCMA)")
        }
        let isolated = context.machine.pageblockCounts(id)[Int(MigrateType.isolate.number)]
        if zone.isolatedPageblocks.load() != UInt64(isolated) {
          found.append("\(id): \(zone.isolatedPageblocks.load()) pageblocks isolated, \(isolated) are")
        }
        return found
      }
    },
    Invariant(
      name: "nothing-isolated", source: "8, 32; P9, P10",
      statement: "no pageblock is ISOLATE and NR_ISOLATED is what callers hold", moment: .quiesced
    ) { context in
      let counted =
        context.machine.total(.isolatedAnon, node: nil) + context.machine.total(.isolatedFile, node: nil)
      // Isolated huge pages of a pool are counted nowhere.
      let held = context.isolated.reduce(0) {
        context.machine.memmap.page($1.key).isHugetlb
          ? $0 : $0 + $1.value * context.machine.memmap.folioPages($1.key)
      }
      var found: [String] = []
      if counted != Int64(held) { found.append("NR_ISOLATED is \(counted), callers hold \(held) pages") }
      for id in context.machine.zones where context.machine.buddy.zone(id).isolatedPageblocks.load() != 0 {
        found.append("\(id): pageblocks are left ISOLATE")
      }
      return found
    },
    Invariant(
      name: "lists-enabled", source: "42; P9, P10",
      statement: "LRU batches and per-CPU lists are enabled", moment: .quiesced
    ) { context in
      let machine = context.machine
      let batches = machine.global.lruBatchesDisabled.load()
      var found = batches == 0 ? [] : ["LRU batches are switched off \(batches) times"]
      for id in machine.zones where machine.buddy.zone(id).perCPUDisabled.load() != 0 {
        found.append("\(id): per-CPU lists are switched off")
      }
      return found
    },
    Invariant(
      name: "lru-lists", source: "33, 34",
      statement: "PG_lru means on exactly one list, with a reference; lists are whole and counted",
      moment: .quiesced
    ) { context in
      var found = context.recount.brokenLists
      for (head, _) in context.recount.listed {
        let page = context.machine.memmap.page(head)
        if !page.has(.lru) { found.append("\(head) is on a list without PG_lru") }
        if page.refcount.load() == 0 { found.append("\(head) is on a list without a reference") }
      }
      found += context.folios { head, page in
        page.has(.lru) && context.recount.listed[head] == nil ? "\(head) has PG_lru and is on no list" : nil
      }
      for which in LRUList.allCases {
        let pages = context.recount.listed.reduce(0) {
          $0 + ($1.value == which ? context.machine.memmap.folioPages($1.key) : 0)
        }
        let counted = context.machine.total(which.counter, node: nil)
        if counted != Int64(pages) {
          found.append("\(which.counter.kernelName) is \(counted), lists hold \(pages)")
        }
      }
      return found
    },
    Invariant(
      name: "no-frame-lost", source: "4; P9",
      statement: "every frame in use is in a free chunk, or is allocated, reserved or offline",
      moment: .quiesced
    ) { context in
      var freeUntil = 0
      return context.frames { frame, page in
        if page.type == .buddy || page.type == .perCPU { freeUntil = frame.index + 1 << page.order }
        guard frame.index >= freeUntil, page.type == .none, page.refcount.load() == 0, !page.isTail,
          !page.isHugetlb, !page.has(.reserved),
          context.machine.blocks.block(context.machine.block(of: frame)).state == .online
        else { return nil }
        return "\(frame) is neither free nor allocated"
      }
    },
    Invariant(
      name: "zone-counts", source: "45, 46",
      statement:
        "managed is at most present, present at most spanned, CMA at most managed; watermarks ascend",
      moment: .always
    ) { context in
      context.machine.zones.compactMap { id in
        let zone = context.machine.buddy.zone(id)
        let (managed, present) = (zone.managed.load(), zone.present.load())
        guard managed <= present, present <= UInt64(zone.spanned), zone.cma.load() <= managed else {
          return
            "\(id): spanned \(zone.spanned), present \(present), managed \(managed), CMA \(zone.cma.load())"
        }
        let marks = (0..<3).map { zone.watermark($0).load() }
        return marks[0] <= marks[1] && marks[1] <= marks[2] ? nil : "\(id): watermarks \(marks)"
      }
    },
    Invariant(
      name: "migration-entries", source: "35, 36",
      statement: "no migration entries remain, and no page lock is held", moment: .quiesced
    ) { context in
      context.recount.migrating.map { "a migration entry for \($0) remains" }
        + context.folios { head, page in page.has(.locked) ? "\(head) is still locked" : nil }
    },
    Invariant(
      name: "page-tables", source: "P1",
      statement: "frames of type Table are exactly those of table pages in use", moment: .quiesced
    ) { context in
      context.frames { frame, page in
        if context.recount.translationFrames.contains(frame) {
          return page.type == .none ? nil : "\(frame) is \(page.type), and a table of an IOMMU"
        }
        // Tables of an object's cache are the kernel's slab memory, not page tables.
        let used = context.recount.tableFrames.contains(frame)
        return (page.type == .table || (used && page.has(.slab))) == used
          ? nil : "\(frame) is \(page.type), \(used ? "a" : "no") table page uses it"
      }
    },
  ]
}
