import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Injected failures, the list driver and move_pages.
extension MigrationTests {
  @Test("a failure at each stage leaves everything as before (rules 7.2, 12.25)")
  func injected() throws {
    let stages: [(FailurePoint, MigrationStage, Int)] = [
      (.allocation, .allocate, 1), (.pageLock, .lock, 10), (.unmap, .unmap, 10), (.copy, .copy, 1),
    ]
    for kind in PageKind.owned + [.memfdPrivate] {
      for (point, stage, attempts) in stages {
        for after in 0..<(point == .unmap && kind == .hugePTE ? 4 : 1) {
          let what = "\(kind.rawValue) \(point) after \(after)"
          let trace = PinTrace()
          let rig = try PinRig(trace: trace)
          let machine = rig.machine
          let start = try rig.make(kind)
          let before = rig.state()
          machine.injectFailures(point, count: 1000, after: after)
          let outcome = try Self.migrate(rig, start)
          machine.injectFailures(point, count: 0)
          #expect(outcome.attempts[stage.rawValue] == attempts, "\(what), attempts")
          #expect(outcome.aborted == (point == .allocation ? .noMemory : nil), "\(what), aborted")
          #expect(rig.state() == before, "\(what), state")
          #expect(
            try machine.check(rig.process, start, pages: rig.unit, pattern: 0x51) == nil, "\(what), contents")
          rig.check(what)
          // Once is not enough to fail where another pass follows.
          machine.injectFailures(point, count: 1, after: after)
          #expect(try Self.migrate(rig, start).isComplete == (attempts > 1), "\(what), once")
          machine.injectFailures(point, count: 0)
          #expect(try Self.migrate(rig, start).isComplete, "\(what), afterwards")
          rig.check(what + ", afterwards")
        }
      }
    }
    let rig = try PinRig()
    let start = try rig.make(.anonymous)
    let frame = try #require(rig.frame(start))
    rig.machine.injectFailures(.isolation, count: 1)
    #expect(!rig.machine.migration.isolate(frame, on: 0), "isolation")
    rig.check("isolation")
  }

  @Test("a call that runs out of memory stops, and counts what had its turn (rules 7.5, 12.31)")
  func aborted() throws {
    let rig = try PinRig()
    let machine = rig.machine
    var list = FolioList()
    var starts: [VirtualAddress] = []
    for i in 0..<6 {
      let start = try rig.make(.anonymous, pattern: UInt64(100 * (i + 1)))
      starts.append(start)
      let head = try #require(rig.frame(start))
      // The second one must be tried again; the fourth finds no target.
      if i == 1 { rig.page(head).refcount.fetchAdd(1) }
      #expect(machine.migration.isolate(head, on: 0), "isolated \(i)")
      list.pushLast(head, in: machine.memmap)
    }
    machine.injectFailures(.allocation, count: 1, after: 3)
    let outcome = machine.migration.migratePages(
      &list, reason: .compaction, mode: .sync, target: .allocate(gfp: .highUserMovable, node: nil),
      for: rig.process)
    #expect(outcome.aborted == .noMemory, "aborted")
    #expect(outcome.succeededPages == 2, "moved")
    #expect(outcome.failedPages == 2, "failed: the one without a target and the one to be tried again")
    #expect(outcome.remaining == 4, "left on the list")
    #expect(list.count == 4, "no folio is lost")
    #expect(machine.total(.pgmigrateSuccess) == 2, "pgmigrate_success")
    #expect(machine.total(.pgmigrateFail) == 2, "pgmigrate_fail")
    while let head = list.popFirst(in: machine.memmap) { machine.migration.putBack(head, on: 0) }
    if let frame = rig.frame(starts[1]) { rig.page(frame).refcount.fetchAdd(-1) }
    rig.check("aborted")
    for (i, start) in starts.enumerated() {
      #expect(
        try machine.check(rig.process, start, pages: 4, pattern: UInt64(100 * (i + 1))) == nil,
        "contents \(i)")
    }
  }

  @Test("more pages than one batch: each folio has one outcome and none is lost (rule 7.5)")
  func batchesOfTheDriver() throws {
    let rig = try PinRig(frames: 4096)
    let machine = rig.machine
    let start = try rig.map(200)
    let second = try machine.createProcess(name: "second")
    let more = try machine.map(second, pages: 200)
    try machine.fill(rig.process, start, pages: 200, pattern: 1)
    try machine.fill(second, more, pages: 200, pattern: 1001)
    let huge = try rig.make(.hugetlb, pattern: 2001)
    machine.lru.drainAll(for: rig.process)
    var list = FolioList()
    var held = 0
    for frame in 0..<machine.frameCount {
      let frame = FrameNumber(frame)
      let page = rig.page(frame)
      guard page.type == .none, !page.isTail, page.has(.lru) || page.isHugetlb, page.refcount.load() > 0
      else {
        continue
      }
      if frame.index % 10 == 0 {
        page.refcount.fetchAdd(1)
        held += 1
      }
      #expect(machine.migration.isolate(frame, on: 0), "\(frame)")
      list.pushLast(frame, in: machine.memmap)
    }
    #expect(list.count == 401, "folios")
    let kept = Set(
      (0..<machine.frameCount).map(FrameNumber.init).filter {
        rig.page($0).type == .none && $0.index % 10 == 0 && rig.page($0).refcount.load() > 1
      })
    let outcome = machine.migration.migratePages(
      &list, reason: .compaction, mode: .sync, target: .allocate(gfp: .highUserMovable, node: nil),
      for: rig.process)
    #expect(outcome.remaining == list.count, "left")
    #expect(outcome.remaining == held, "those with another reference")
    #expect(outcome.failures.count == min(held, MigrationOutcome.failureLimit), "described")
    while let head = list.popFirst(in: machine.memmap) {
      #expect(kept.contains(head), "\(head) stayed without a reason")
      machine.migration.putBack(head, on: 0)
      machine.folios.put(head, on: 0)
    }
    rig.check("batches")
    #expect(try machine.check(rig.process, start, pages: 200, pattern: 1) == nil, "contents")
    #expect(
      try machine.check(second, more, pages: 200, pattern: 1001) == nil, "contents of the second process")
    #expect(try machine.check(rig.process, huge, pages: 4, pattern: 2001) == nil, "contents of the huge page")
  }

  private static let twoNodes = [
    NodeConfiguration(memory: [frames(0, 128)]), NodeConfiguration(memory: [frames(128, 256)]),
  ]

  @Test("move_pages: every status, and the statistics of the nodes (rule 7.8)")
  func movePages() throws {
    for kind in PageKind.owned + [.memfdPrivate] {
      let rig = try PinRig { $0.nodes = Self.twoNodes }
      let machine = rig.machine
      let start = try rig.make(kind)
      let files = machine.total(.filePages, node: 0)
      let moved = machine.movePages(rig.process, of: rig.process, at: start, pages: 1, to: 1)
      #expect(moved == [nil], "\(kind.rawValue)")
      #expect(rig.frame(start).map { rig.page($0).zone.node } == 1, "\(kind.rawValue), node")
      let size = Int64(kind.isLarge ? rig.unit : 1)
      let isFile = kind == .sharedAnonymous || kind == .memfd || kind == .memfdPrivate
      #expect(
        files - machine.total(.filePages, node: 0) == (isFile ? size : 0), "\(kind.rawValue), nr_file_pages")
      #expect(
        machine.total(.filePages, node: 1) == (isFile ? size : 0), "\(kind.rawValue), nr_file_pages of node 1"
      )
      rig.check(kind.rawValue)
      let gets = try machine.get(rig.process, at: start, pages: 1, flags: [])
      let busy = machine.movePages(rig.process, of: rig.process, at: start, pages: 1, to: 0)
      #expect(busy[0]?.errno == .resourceBusy, "\(kind.rawValue), got")
      gets.put()
      #expect(
        try machine.check(rig.process, start, pages: rig.unit, pattern: 0x51) == nil,
        "\(kind.rawValue), contents")
      rig.check("\(kind.rawValue), again")
    }
    let rig = try PinRig { $0.nodes = Self.twoNodes }
    let hole = try rig.make(.hole)
    let zero = try rig.make(.zeroPage)
    func status(_ address: VirtualAddress, to node: Int = 1) -> Errno? {
      rig.machine.movePages(rig.process, of: rig.process, at: address, pages: 1, to: node)[0]?.errno
    }
    #expect(status(VirtualAddress(page: 1)) == .badAddress, "no area")
    #expect(status(hole) == .noSuchFileOrDirectory, "a hole")
    #expect(status(zero) == .badAddress, "the zero page")
    let batch = try rig.make(.anonymous)
    #expect(status(batch, to: 0) == nil, "there already")
    #expect(status(batch, to: 2) == .operationNotSupportedByDevice, "no node")
    #expect(status(batch, to: -1) == .operationNotSupportedByDevice, "no node")
    rig.check("statuses")
    let other = try rig.machine.createProcess(name: "other")
    rig.machine.exit(rig.process)
    let gone = rig.machine.movePages(other, of: rig.process, at: batch, pages: 2, to: 1)
    #expect(gone.map { $0?.errno } == [.noSuchProcess, .noSuchProcess], "an ended process")
  }
}
