/// The rows of the table of bars. Each takes the engine's side; without it, the row is a floor.
///
/// What `ours` must do is what the twin beside it does: the same units, the same batches, the same working set.
extension Row {
  /// Pin (write, long-term) and unpin of resident order-0 pages: each batch of 512 is pinned and unpinned.
  ///
  /// With 512 pages the descriptors stay in the first-level cache, with 16384 they do not.
  static func pin(pages: Int, ours: Contender? = nil) -> Row {
    Row(
      pages == pinBatch ? "pin-4k" : "pin-4k-\(pages / 256)mib", unit: "page", ours: ours,
      references: [.pinTwin(pages: pages), .ioUring()],
      bars: [.times(1.1, of: "C twin"), .times(0.5, of: "io_uring")])
  }

  /// The same on two threads, 512 pages each; `oursAlone` is the engine on one.
  static func pinTwoThreads(ours: Contender? = nil, oursAlone: Contender? = nil) -> Row {
    Row(
      "pin-4k-2threads", unit: "page", ours: ours,
      references: [.pinTwin("C twin x2", pages: pinBatch, threads: 2)]
        + [oursAlone ?? .pinTwin(pages: pinBatch)],
      bars: [.times(1.1, of: "C twin x2"), .times(1.3, of: oursAlone?.name ?? "C twin")], stable: false)
  }

  /// Pin and unpin of one PMD-mapped 2 MiB folio at a time.
  static func pinHuge(ours: Contender? = nil) -> Row {
    Row(
      "pin-2m", unit: "page", ours: ours,
      references: [.pinTwin(pages: pinBatch, folioOrder: 9), .ioUring(huge: true)],
      bars: [.nanoseconds(5), .times(1.1, of: "C twin"), .besides("io_uring")])
  }

  /// Fork of a process that has 1 GiB of small pages mapped, none of it pinned, up to the child's first step.
  static func fork(ours: Contender? = nil) -> Row {
    Row(
      "fork-1gib", unit: "page", ours: ours, references: [.forkTwin()], bars: [.times(1.15, of: "C twin")],
      stable: false)
  }

  /// VFIO map and unmap of resident memory: what io_uring registers and unregisters, and a table of the IOMMU.
  ///
  /// No twin does the same, so the host is the measure.
  static func map(huge: Bool, ours: Contender) -> Row {
    Row(
      huge ? "vfio-map-2m" : "vfio-map-4k", unit: "page", ours: ours, references: [.ioUring(huge: huge)],
      bars: huge ? [.nanoseconds(5), .besides("io_uring")] : [.times(0.5, of: "io_uring")], stable: false)
  }

  /// `count` blocks of an order allocated and then freed, in a zone of 1 GiB with two CPUs.
  ///
  /// The bound in nanoseconds is half of what LLFree takes in user space on a comparable machine.
  static func allocation(order: Int, count: Int, ours: Contender? = nil) -> Row {
    Row(
      "alloc-order\(order)-\(count)", unit: "alloc + free", ours: ours,
      references: [.allocationTwin(order: order, count: count)],
      bars: [.times(1.15, of: "C twin"), .nanoseconds(order == 0 ? 58 : 69)], stable: false)
  }

  /// The same on two threads at once; `oursAlone` is the engine on one.
  ///
  /// Only what fits the per-CPU lists can cost the same on two threads as on one: beyond them, both threads
  /// meet at the zone's lock, so `scales` says whether that is asked.
  static func allocationTwoThreads(
    order: Int, count: Int, scales: Bool, ours: Contender? = nil, oursAlone: Contender? = nil
  ) -> Row {
    let alone = oursAlone?.name ?? "C twin"
    return Row(
      "alloc-order\(order)-\(count)-2threads", unit: "alloc + free", ours: ours,
      references: [.allocationTwin("C twin x2", order: order, count: count, threads: 2)]
        + [oursAlone ?? .allocationTwin(order: order, count: count)],
      bars: [.times(1.15, of: "C twin x2"), scales ? .times(1.3, of: alone) : .besides(alone)],
      stable: false)
  }

  /// Migration of runs of 512 pages between memfd windows; the twin is memcpy.
  static func migration(ours: Contender? = nil) -> Row {
    Row(
      "migrate-run", unit: "page", ours: ours, references: [.memoryCopy()],
      bars: [.share(0.6, of: "memcpy")])
  }

  /// Offline of a free 128 MiB block, and online again.
  static func offline(ours: Contender? = nil) -> Row {
    Row(
      "offline-128mib", unit: "off + online", ours: ours, references: [.offlineTwin()],
      bars: [.nanoseconds(1_000_000), .besides("C twin")])
  }

  /// Hot-remove of a free 128 MiB block whose bytes were all touched.
  static func hotRemove(ours: Contender? = nil) -> Row {
    Row(
      "hot-remove-128mib", unit: "block", ours: ours,
      references: (ours == nil ? [.hotRemoveTwin()] : []) + [.hostRelease()],
      bars: [.plus(1_000_000, over: "host alone")])
  }

  /// Start of a machine of 1 TiB, and its end.
  static func start(ours: Contender? = nil) -> Row {
    Row(
      "start-1tib", unit: "start + stop", ours: ours, references: [.startTwin()],
      bars: [.nanoseconds(1_000_000_000), .besides("C twin")])
  }

  /// A step of the explorer, out of an exhaustive search with a check after every step: 3 000 000 a second.
  static func exploreStep(ours: Contender) -> Row {
    Row("explore-step", unit: "step", ours: ours, references: [], bars: [.nanoseconds(1e9 / 3_000_000)])
  }

  /// An execution of two actors with 20 steps each, out of the same search: 100 000 a second.
  static func exploreExecution(ours: Contender) -> Row {
    Row("explore-execution", unit: "execution", ours: ours, references: [], bars: [.nanoseconds(10_000)])
  }

  /// An execution of a scenario of two actors and one page, machine and all: 100 000 a second.
  static func exploreScenario(_ what: String, ours: Contender) -> Row {
    Row(
      "explore-\(what)", unit: "execution", ours: ours, references: [], bars: [.nanoseconds(10_000)],
      stable: false)
  }

  /// A step of such a scenario, with the invariants of each step checked: 3 000 000 a second.
  static func exploreScenarioSteps(_ what: String, ours: Contender) -> Row {
    Row(
      "explore-\(what)-steps", unit: "step", ours: ours, references: [], bars: [.nanoseconds(1e9 / 3_000_000)]
    )
  }
}
