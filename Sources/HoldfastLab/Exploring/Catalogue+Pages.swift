import Holdfast
import HoldfastScenario

/// Rows 1 to 31: lockless walks, copy on write, counting.
extension Catalogue {
  static let lockless: [CatalogueRow] = [
    CatalogueRow(
      1, "fast path against unmap, free and reuse", "P1 P2", nil,
      .fixed(
        .entryRecheck, "the lockless walk looks at an entry again once it holds the page's reference",
        in: "01-pinned-after-reuse", find: .bounded(upTo: 1), clear: .bounded(upTo: 2)),
      .fixed(
        .freePageRefusal, "a lockless reader gets no reference to a page that has none",
        in: "01-unmap-and-reuse", clear: .bounded(upTo: 2))),
    CatalogueRow(
      2, "fast path against fork's write-protection", "P2", "57efa1fe5957",
      .fixed(
        .forkSequence, "a fork that write-protects entries makes lockless pins of the same space give up",
        in: "02-pin-against-fork", clear: .bounded(upTo: 2))),
    CatalogueRow(
      4, "fast path against huge-page collapse", "P1 P2", "70cbc3cc78a9", needs: [.collapse]),
    CatalogueRow(
      5, "page table freed under the walk", "P1", "2ba99c5e0881",
      .fixed(
        .walkAnnouncement, "the lockless walk announces itself before its first read of a table",
        in: "05-freed-table", find: .bounded(upTo: 1), clear: .bounded(upTo: 2)),
      .fixed(
        .walkerWait, "a table is freed only when the walks that may have seen its entry have ended",
        in: "05-freed-table", find: .bounded(upTo: 1), clear: .bounded(upTo: 2))),
    CatalogueRow(
      6, "fast path against a folio that becomes another", "P4", "7aef4172c795", needs: [.split],
      .fixed(
        .folioRecheck,
        "the lockless walk looks again at which folio the frame is in once it holds a reference",
        in: "06-folio-reused", find: .bounded(upTo: 1), clear: .bounded(upTo: 2))),
    CatalogueRow(
      7, "fast path against unsharing of hugetlb tables", "P1", "CVE-2025-38085", needs: [.sharedTables]),
    CatalogueRow(
      8, "giving up exclusivity against a read-only pin", "P2", nil,
      .fixed(
        .pinTestAfterClear, "migration asks whether a page is pinned only after it has cleared the entry",
        in: "49-migration-against-pin", with: [.compareAfterUnmap], clear: .bounded(upTo: 2)),
      .fixed(
        .clearBeforeLook, "migration clears an entry by a store that no later load passes",
        in: "49-migration-against-pin", with: [.compareAfterUnmap], storeBuffers: true,
        find: .bounded(upTo: 2),
        clear: .bounded(upTo: 1))),
    CatalogueRow(
      11, "fast path against the end of a page map", "P1 P4", "6dd29b3df975", needs: [.deviceMemory]),
    CatalogueRow(12, "secret memory: racing faults, pins", "P1", "CVE-2025-40272", needs: [.secretMemory]),
  ]

  static let copyOnWrite: [CatalogueRow] = [
    CatalogueRow(
      13, "child reads the parent's new secret", "P3", "CVE-2020-29374",
      .fixed(
        .soleReference, "a store reuses a page that is not exclusive only if nobody else refers to it",
        in: "13-child-splices-and-unmaps", clear: .bounded(upTo: 1)),
      .open(
        in: "13-huge-page-spliced", under: .linux510, notUnder: .linux61, clear: .bounded(upTo: 2))),
    CatalogueRow(14, "forced copy on pin, and its revert", "P2 P3", "a308c71bf1e6", needs: [.userfaultfd]),
    CatalogueRow(
      15, "copy unless sole reference, against a pin", "P2", "c89357e27f20",
      .fixed(
        .exclusiveReuse, "a store to an exclusive page goes to it, however many references there are",
        in: "15-protected-and-stored-to")),
    CatalogueRow(17, "clear_refs write-protects a pinned page", "P2", nil, needs: [.softDirty]),
    CatalogueRow(
      18, "fork of a pinned page", "P2", "d042035eaf5f",
      .fixed(
        .forkCopiesPinned, "a fork copies a page that may be pinned for the child at once",
        in: "18-fork-of-a-pinned-page", clear: .bounded(upTo: 2)),
      .fixed(
        .forkCopiesPinned,
        "a fork splits the mapping of a huge page that may be pinned, and copies its pages",
        in: "18-fork-of-a-pinned-huge-page", clear: .bounded(upTo: 1)),
      .fixed(
        .forkCopiesPinned, "a fork copies a page of the hugetlb pool that may be pinned",
        in: "18-fork-of-a-pinned-pool-page", clear: .bounded(upTo: 1))),
    CatalogueRow(
      19, "direct read and fork", "P7", nil,
      .open(
        in: "19-direct-read-and-fork", under: .linux55, notUnder: .linuxMainline, clear: .bounded(upTo: 1))),
    CatalogueRow(
      20, "read-only pin of a shared anonymous page", "P2", "c89357e27f20",
      .fixed(
        .unsharePinned, "a read-only pin of a page that others may map gets the process a page of its own",
        in: "20-read-only-pin-of-a-shared-page", clear: .bounded(upTo: 1))),
    CatalogueRow(
      22, "read-only long-term pin of the zero page", "P2", "8d6a0ac09a16", needs: [.files],
      .open(in: "22-zero-page-then-store", notUnder: .linuxMainline, clear: .bounded(upTo: 2))),
    CatalogueRow(23, "merging of a pinned page", "P2 P3", "143fc197abb1", needs: [.ksm]),
    CatalogueRow(
      24, "write-protection lost on fork or unsharing", "P11", nil, needs: [.userfaultfd]),
    CatalogueRow(
      25, "forced write reaches memory that is only read", "P11",
      "CVE-2016-5195, CVE-2017-1000405, CVE-2022-2590", needs: [.files],
      .fixed(
        .forcedWriteStays, "a forced write remains a request to write after its fault has made a copy",
        in: "25-forced-write")),
    CatalogueRow(26, "hugetlb pages spliced by a child", "P3", nil, .open(in: "26-pool-page-spliced")),
  ]

  static let counting: [CatalogueRow] = [
    CatalogueRow(
      27, "reference count overflows", "P1 P4", "CVE-2019-11487",
      .fixed(
        .overflowRefusal, "a count that has gone below zero is given no more references",
        in: "27-count-overflow")),
    CatalogueRow(
      28, "a huge page's pins overflow its count", "P4", "seed 001",
      .fixed(
        .exactLargeCount, "large folios count their pins exactly, not by the bias for each page",
        in: "28-large-count")),
    CatalogueRow(
      29, "pins of the zero page overflow or leak", "P4", "c8070b78751955",
      .fixed(.zeroPageUncounted, "a pin of the zero page counts nothing", in: "29-zero-page-pins"),
      .fixed(
        .zeroPageRelease, "VFIO gives back its pins of the zero page, though it never charged them",
        in: "29-zero-page-release")),
    CatalogueRow(
      30, "many references are mistaken for a pin", "P6", nil,
      .open(in: "30-mistaken-for-pinned", byDesign: true)),
    CatalogueRow(
      31, "pages released the wrong way, or twice", "P1 P4", "CVE-2026-43494",
      .fixed(
        .releaseByKind, "what was taken is given back in the same way, as the ledger's record says",
        in: "31-released-by-kind"),
      .fixed(
        .unwindForgets, "a failed call keeps no record of what it has given back",
        in: "31-released-twice")),
    CatalogueRow(
      33, "fixed buffers of non-adjacent pages", "P11", "CVE-2023-2598", needs: [.entry]),
  ]
}
