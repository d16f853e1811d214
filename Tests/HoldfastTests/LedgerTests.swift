import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// The ledger of pins.
@Suite struct LedgerTests {
  @Test("who holds what, since when, and how much is left of it")
  func holders() throws {
    let rig = try PinRig()
    let machine = rig.machine
    let start = try rig.make(.anonymous)
    let other = try machine.createProcess(name: "a-long-process-name", processor: 1)
    let first = try machine.pin(
      rig.process, at: start, pages: 4, flags: [.write, .longterm], purpose: PinLabel("vfio"))
    let taken = machine.now
    let second = try machine.get(
      other, at: start + 4096, pages: 2, entry: .remote, of: rig.process,
      purpose: PinLabel("a purpose of more than thirty-two bytes"))
    for _ in 0..<5 { try machine.touch(rig.process, start, write: true) }

    let all = machine.pinHolders
    #expect(all.map(\.purpose) == ["vfio", "a purpose of more than thirty-tw"], "oldest first")
    #expect(all.map(\.isPin) == [true, false], "kinds")
    #expect(all.map(\.isLongterm) == [true, false], "long term")
    #expect(all.map(\.owner) == [rig.process.id, other.id], "owners")
    #expect(all.map(\.ownerName) == ["dma", "a-long-process-"], "names")
    #expect(all.map(\.address) == [start, start + 4096], "addresses")
    #expect(all.map(\.pages) == [4, 2], "pages")
    #expect(all[0].age == machine.now - taken, "age")
    #expect(all[1].age < all[0].age, "the second is younger")

    func inRange(_ frame: FrameNumber) -> [Int] {
      machine.holders(of: FrameRange(start: frame, count: 1)).map(\.pagesInRange)
    }
    let frames = (0..<4).map { first[$0] }
    #expect(frames.map(inRange) == [[1], [1, 1], [1, 1], [1]], "holders of each frame")
    let low = frames.min() ?? .none
    let high = frames.max() ?? .none
    let everything = FrameRange(start: low, count: high.index - low.index + 1)
    #expect(machine.holders(of: everything).map(\.pagesInRange) == [4, 2], "most pages first")

    first.unpin(1..<3)
    #expect(frames.map(inRange) == [[1], [1], [1], [1]], "after a part")
    #expect(machine.pinHolders.map(\.pages) == [2, 2], "pages left")
    #expect((0..<4).map { first[$0] == .none } == [false, true, true, false], "given back")
    first.unpin(0..<4)
    #expect(machine.pinHolders.map(\.pages) == [2], "a record without pages is no holder")
    rig.check("all given back in parts")
    first.unpin()
    machine.exit(other)
    #expect(machine.pinHolders.first?.ownerName == "a-long-process-", "the holder outlives its process")
    second.put()
    #expect(machine.pinHolders.count == 0, "nobody")
    rig.check("nobody")
  }

  @Test("dropping the value unpins, in every way in which it can end")
  func drops() throws {
    let rig = try PinRig()
    let machine = rig.machine
    let start = try rig.make(.anonymous)
    func pinned() throws -> PinnedPages { try machine.pin(rig.process, at: start, pages: 4) }
    struct Stop: Error {}
    func thrown() throws {
      let pins = try pinned()
      if pins.count == 4 { throw Stop() }
    }
    _ = try pinned()
    #expect(machine.pinHolders.count == 0, "ignored")
    do { let pins = try pinned(); #expect(pins.count == 4, "scope") }
    #expect(machine.pinHolders.count == 0, "end of scope")
    #expect(throws: Stop.self) { try thrown() }
    #expect(machine.pinHolders.count == 0, "thrown past")
    func replace(_ pins: inout PinnedPages?) { pins = nil }
    var kept: PinnedPages? = try pinned()
    #expect(machine.pinHolders.count == 1, "kept")
    replace(&kept)
    #expect(machine.pinHolders.count == 0, "assigned over")
    do { _ = try machine.get(rig.process, at: start, pages: 4) }
    #expect(machine.pinHolders.count == 0, "references")
    rig.check("dropped")
  }

  @Test("dirty on release marks clean folios, and only those of the pages given back (rule 1.8)")
  func dirtyOnRelease() throws {
    for kind in PageKind.owned {
      let rig = try PinRig()
      let start = try rig.make(kind)
      let pins = try rig.machine.pin(rig.process, at: start, pages: 4, flags: .write)
      let heads = (0..<4).map { rig.machine.memmap.head(of: pins[$0]) }
      for head in heads { rig.page(head).clear(.dirty) }
      pins.unpin(1..<2)
      #expect(
        heads.map { rig.page($0).has(.dirty) } == [false, false, false, false], "\(kind.rawValue), clean")
      pins.unpin(0..<1, markDirty: true)
      let first = heads.map { $0 == heads[0] }
      #expect(heads.map { rig.page($0).has(.dirty) } == first, "\(kind.rawValue), one page")
      pins.unpin(markDirty: true)
      let rest = heads.map { $0 == heads[0] || $0 != heads[1] }
      #expect(heads.map { rig.page($0).has(.dirty) } == rest, "\(kind.rawValue), the rest")
      #expect(!heads.contains { rig.page($0).has(.locked) }, "\(kind.rawValue), unlocked")
      rig.check(kind.rawValue)
    }
  }

  @Test("a full ledger is ENOMEM before anything was taken, and serves again when there is room")
  func full() throws {
    for limit in ["records", "slots"] {
      let rig = try PinRig {
        if limit == "records" { $0.limits.pinRecords = 4 } else { $0.limits.pinSlots = 16 }
      }
      let machine = rig.machine
      let start = try rig.make(.anonymous)
      do { _ = try machine.get(rig.process, at: start, pages: 4) }
      let before = rig.state()
      // Row and slot 0 stand for "none".
      let one = try machine.pin(rig.process, at: start, pages: 4, accounting: .locked)
      let two = try machine.get(rig.process, at: start, pages: 4)
      let three = try machine.pin(rig.process, at: start, pages: 4)
      let error = pinError { _ = try machine.pin(rig.process, at: start, pages: 4, accounting: .locked) }
      #expect(error?.cause == .ledgerFull, "\(limit)")
      #expect(error?.stage == .ledger, "\(limit)")
      #expect(error?.errno == .noMemory, "\(limit)")
      #expect(machine.usage(of: rig.process).locked == 4, "\(limit), charged")
      rig.check(limit)
      #expect(
        pinError { _ = try machine.pin(rig.process, at: start, pages: 0) }?.cause == nil, "\(limit), no pages"
      )
      two.put()
      let four = try machine.pin(rig.process, at: start, pages: 3)
      #expect(four.count == 3, "\(limit), room again")
      one.unpin()
      three.unpin()
      four.unpin()
      #expect(rig.state() == before, "\(limit), state")
      rig.check(limit + ", empty")
    }
  }
}
