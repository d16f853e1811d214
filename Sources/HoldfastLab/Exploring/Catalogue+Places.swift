import Holdfast
import HoldfastScenario

/// Rows 34 to 66: where long-term pins stay, migration, removal, files and devices.
extension Catalogue {
  static let placement: [CatalogueRow] = [
    CatalogueRow(
      34, "isolation fails and the pin stays", "P5", "seed 002",
      .fixed(
        .failureHonoured, "a long-term pin fails or tries again when a page could not be isolated or moved",
        in: "34-isolation-fails", find: .bounded(upTo: 1), clear: .bounded(upTo: 2))),
    CatalogueRow(
      35, "an empty list is read as nothing to do", "P5", "seed 002",
      .fixed(
        .collectedDecides,
        "a long-term pin ends when no page may not stay, not when none was isolated",
        in: "35-empty-list", find: .bounded(upTo: 1), clear: .bounded(upTo: 2))),
    CatalogueRow(
      36, "endless retries of a long-term pin", "P6", nil,
      .fixed(
        .fatalSignalCheck, "a fatal signal ends the retries of a long-term pin", in: "36-killed-retry",
        find: .bounded(upTo: 1), clear: .bounded(upTo: 2)),
      .open(in: "36-endless-retry", notUnder: .movableV4, clear: .bounded(upTo: 2))),
    CatalogueRow(
      37, "references hidden in per-CPU batches", "P9 P6", nil,
      .fixed(
        .batchDrain, "a long-term pin empties the LRU batches", in: "37-hidden-reference",
        find: .bounded(upTo: 0), clear: .bounded(upTo: 2))),
    CatalogueRow(38, "two pinners defeat each other", "P6", nil, .open(in: "38-two-pinners")),
    CatalogueRow(
      39, "ISOLATE hides CMA from the check", "P5", "1c563432588d",
      .fixed(
        .isolateRefusal, "a long-term pin may not stay in a pageblock that is being isolated",
        in: "39-cma-against-pin", find: .bounded(upTo: 1), clear: .bounded(upTo: 2))),
    CatalogueRow(
      40, "a fresh page lands where it may not stay", "P5", "seed 000",
      .fixed(
        .pinScope, "a long-term pin's own faults get their pages under the pin scope", in: "40-fresh-page",
        find: .bounded(upTo: 0)),
      .fixed(
        .scopeInFastPath, "the pin scope holds from the first attempt of an allocation on",
        in: "40-fresh-page", find: .bounded(upTo: 0)),
      .fixed(
        .immovableTarget, "the pages that a long-term pin moves to are not asked for as movable ones",
        in: "40-fresh-page", with: [.pinScope], find: .bounded(upTo: 0))),
    CatalogueRow(
      42, "hugetlb pages under the pin scope", "P5 P6", nil,
      .fixed(
        .poolScope, "in a pin scope the pool gives only huge pages that a long-term pin may stay on",
        in: "42-pool-scope"),
      .fixed(
        .poolMigratable, "a huge page that took the place of a migrated one can be migrated again",
        in: "42-pool-migratable", clear: .bounded(upTo: 2))),
    CatalogueRow(
      43, "the zero page in ZONE_MOVABLE", "P6", nil,
      .fixed(
        .zeroPageExemption, "the zero page may be long-term pinned wherever it is", in: "43-zero-page",
        find: .bounded(upTo: 0))),
    CatalogueRow(
      45, "CMA allocation against passing references", "P6", nil, .open(in: "45-cma-against-reference")),
    CatalogueRow(46, "long-term pin of a shared file", "P7", "8ac268436e6d", needs: [.files]),
    CatalogueRow(47, "two pins by descriptor of one hole", "P1", nil, needs: [.entry]),
    CatalogueRow(48, "holes in MADV_NOMOVABLE", "P5", "seed 004", needs: [.entry]),
  ]

  static let removal: [CatalogueRow] = [
    CatalogueRow(
      49, "migration against the fast path", "P1 P2", nil,
      .fixed(
        .compareAfterUnmap, "migration compares references after the page's entries are gone",
        in: "49-migration-against-reference", clear: .bounded(upTo: 2)),
      .fixed(
        .countFreeze, "migration takes all references of a cached page at once",
        in: "49-migration-of-cached-page", clear: .bounded(upTo: 2))),
    CatalogueRow(
      50, "migration against a fault's reference", "P6", nil,
      .fixed(
        .waitWithoutReference, "a waiter for the end of a migration holds no reference to the page",
        in: "50-waiting-fault", clear: .bounded(upTo: 2)),
      .open(in: "50-transient-reference")),
    CatalogueRow(
      51, "hot-remove against a pin", "P5 P6 P12", nil,
      .fixed(
        .offlineRetry, "an offline tries again what did not move", in: "51-retried-offline",
        find: .bounded(upTo: 1), clear: .bounded(upTo: 2)),
      .fixed(
        .offlineUndo, "an offline that fails gives the pageblocks that it has isolated back",
        in: "51-undone-offline", find: .bounded(upTo: 0), clear: .bounded(upTo: 1)),
      .fixed(
        .offlineListsBack, "an offline that fails lets pages wait in LRU batches and per-CPU lists again",
        in: "51-undone-offline", find: .bounded(upTo: 0), clear: .bounded(upTo: 1)),
      .fixed(
        .failureHonoured, "a long-term pin fails or tries again when a page could not be isolated or moved",
        in: "51-offline-against-pin", find: .bounded(upTo: 1), clear: .bounded(upTo: 1)),
      .fixed(
        .isolateRefusal, "a long-term pin may not stay in a pageblock that is being isolated",
        in: "51-pin-while-isolated", find: .bounded(upTo: 1), clear: .bounded(upTo: 1)),
      .fixed(
        .freePageRefusal, "a lockless reader gets no reference to a page that has none",
        in: "51-walk-into-removed", find: .bounded(upTo: 1), clear: .bounded(upTo: 2)),
      .open(in: "51-endless-offline", find: .bounded(upTo: 0))),
    CatalogueRow(
      53, "hugetlb faults against migration", "P1 P6",
      "4643d67e8cb0, e66f17ff7177, c9d398fa2378, 3f4b815a439a", needs: [.memoryFailure],
      .fixed(
        .poolMigrationWait, "a fault that finds a huge page's migration entry waits for it",
        in: "53-fault-against-migration", clear: .bounded(upTo: 2))),
    CatalogueRow(54, "pins of poisoned pages", "P4 P6", "29b4eedee67b", needs: [.memoryFailure]),
  ]

  static let filesAndDevices: [CatalogueRow] = [
    CatalogueRow(55, "dirty after unpin, or without the lock", "P7 P1", nil, needs: [.files]),
    CatalogueRow(56, "writeback cleans a pinned page", "P7", nil, needs: [.files]),
    CatalogueRow(57, "lazily freed under a direct read", "P7", nil, needs: [.reclaim]),
    CatalogueRow(
      58, "truncation of fsdax under a pin", "P1", "e76384884344", needs: [.files, .deviceMemory]),
    CatalogueRow(59, "sealing against writes under a pin", "P11", nil, needs: [.files]),
    CatalogueRow(60, "the extra reference of device pages", "P4", nil, needs: [.deviceMemory]),
    CatalogueRow(61, "device page gone under the fault", "P1", "CVE-2022-3523", needs: [.deviceMemory]),
    CatalogueRow(62, "many faults on one device page", "P6", "1afaeb8293c9", needs: [.deviceMemory]),
    CatalogueRow(63, "range fault spins on a locked folio", "P6", nil, needs: [.deviceMemory]),
    CatalogueRow(
      65, "exclusive access against faults, forks and discards", "P8 P3 P1", nil,
      .fixed(
        .exclusiveForkRestore, "a fork takes a page back from the device before it copies the entry",
        in: "65-fork-of-an-exclusive-page", find: .bounded(upTo: 0)),
      .fixed(
        .exclusiveRevokeFirst, "a fault takes a page from the device before it maps it",
        in: "65-touch-of-an-exclusive-page", find: .bounded(upTo: 0)),
      .fixed(
        .exclusiveEntryCheck, "a device gets a page only while the entry says that it has it",
        in: "65-discarded-meanwhile", clear: .bounded(upTo: 2)),
      .fixed(
        .exclusiveHoldsLock, "a page stays locked until the device has it", in: "65-touched-meanwhile",
        with: [.exclusiveEntryCheck], clear: .bounded(upTo: 2))),
    CatalogueRow(66, "pin by migration, as posted", "P4 P2 P8", "seed 003", needs: [.deviceMemory]),
  ]
}
