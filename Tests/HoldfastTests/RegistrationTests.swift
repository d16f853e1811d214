import Interleaving
import SystemPackage
import Testing

@testable import Holdfast

/// Pins that someone keeps and is charged for: VFIO, RDMA and io_uring (rules 9.2, 9.3; 12.57, 12.58).
@Suite struct RegistrationTests {
  private static let kept: [PinAccounting] = [.locked, .pinned, .registered]

  /// What the process is charged: locked_vm, pinned_vm, and its user.
  private static func charged(_ rig: PinRig) -> [Int] {
    let usage = rig.machine.usage(of: rig.process)
    return [usage.locked, usage.pinned, Int(rig.machine.global.userLockedPages.load())]
  }

  private static func expected(_ accounting: PinAccounting, _ pages: Int) -> [Int] {
    switch accounting {
    case .none: [0, 0, 0]
    case .locked: [pages, 0, 0]
    case .pinned: [0, pages, 0]
    case .registered: [0, pages, pages]
    }
  }

  @Test("charges follow pins: at the limit, part by part, with the right to lock memory, past the process")
  func charges() throws {
    for accounting in Self.kept {
      let rig = try PinRig()
      let machine = rig.machine
      let start = try rig.map(6)
      rig.process.memlockLimit = 6 * 4096 + 4095
      func pin(_ pages: Int, at page: Int = 0) throws(PinError) -> PinnedPages {
        try machine.pin(
          rig.process, at: start + page * 4096, pages: pages, flags: [.write, .longterm],
          accounting: accounting)
      }
      func expectCharge(_ pages: Int, _ what: String, line: SourceLocation = #_sourceLocation) {
        #expect(
          Self.charged(rig) == Self.expected(accounting, pages), "\(accounting), \(what)",
          sourceLocation: line)
      }
      let four = try pin(4)
      expectCharge(4, "four")
      let error = pinError { _ = try pin(3) }
      #expect(error?.errno == .noMemory, "\(accounting), over the limit")
      #expect(error?.stage == .account, "\(accounting), over the limit")
      expectCharge(4, "nothing charged")
      let two = try pin(2, at: 4)
      expectCharge(6, "the limit itself")
      four.unpin(0..<3)
      // A registered buffer is charged whole until it goes.
      let left = accounting == .registered ? 4 : 1
      expectCharge(2 + left, "in part")
      four.unpin(0..<3)
      expectCharge(2 + left, "in part again")
      rig.check("\(accounting), in part")
      rig.process.capabilities = .ipcLock
      rig.process.memlockLimit = 0
      let free = try pin(4)
      // io_uring does not charge a user who may lock memory; the address space is charged in any case.
      var privileged = Self.expected(accounting, 6 + left)
      if accounting == .registered { privileged[2] -= 4 }
      #expect(Self.charged(rig) == privileged, "\(accounting), with CAP_IPC_LOCK")
      free.unpin()
      four.unpin()
      expectCharge(2, "nearly all given back")
      let space = rig.process.space
      machine.exit(rig.process)
      rig.check("\(accounting), exited while pinned")
      two.unpin()
      rig.check("\(accounting), unpinned after the exit")
      #expect(atRest { machine.spaces.space(space).live } == 0, "\(accounting), the space's row is free")
      // The row serves the next process, which owes nothing.
      let next = try machine.createProcess(name: "next")
      #expect(next.space == space, "\(accounting), the row")
      let usage = machine.usage(of: next)
      #expect(
        [usage.locked, usage.pinned, Int(machine.global.userLockedPages.load())] == [0, 0, 0],
        "\(accounting), next process")
    }
  }

  @Test("a range that cannot be pinned to its end is EFAULT, and leaves no pin and no charge")
  func whole() throws {
    for accounting in Self.kept {
      for entry in [PinEntry.slow, .remote, .fast, .fastOnly] {
        // The hole is in the first batch, at the first page of the second, and behind that.
        for hole in [0, 3, 512, 515] {
          let what = "\(accounting) \(entry.rawValue) hole at \(hole)"
          let rig = try PinRig(frames: 4096) {
            $0.geometry = Geometry()
            $0.geometry.sectionOrder = 12
            $0.geometry.blockOrder = 12
          }
          let machine = rig.machine
          let start = try rig.map(520)
          if entry == .fastOnly { try machine.fill(rig.process, start, pages: 520, pattern: 1) }
          try machine.unmap(rig.process, AddressRange(start: start + hole * 4096, pages: 1))
          let error = pinError {
            _ = try machine.pin(
              rig.process, at: start, pages: 520, flags: [.write, .longterm], entry: entry,
              accounting: accounting)
          }
          #expect(error?.errno == .badAddress, "\(what)")
          #expect(error?.cause == (entry == .fastOnly ? .wouldFault : .noArea), "\(what)")
          #expect(error?.address == start + hole * 4096, "\(what)")
          #expect(Self.charged(rig) == [0, 0, 0], "\(what)")
          #expect(rig.acquired - rig.released == 0, "\(what)")
          // All of it was pinned, up to the hole.
          #expect(rig.acquired == Int64(hole), "\(what), acquired")
          #expect(machine.pinHolders.count == 0, "\(what)")
          rig.check(what)
        }
      }
      let rig = try PinRig()
      let start = try rig.map(6)
      try rig.machine.unmap(rig.process, AddressRange(start: start + 4 * 4096, pages: 1))
      let pins = try rig.machine.pin(rig.process, at: start, pages: 6, flags: .write)
      #expect(pins.count == 4, "whoever is charged nothing keeps the part")
      pins.unpin()
    }
  }

  @Test("no page is the error of that page; some are a part to go on behind, but EFAULT for io_uring")
  func reasons() throws {
    for accounting in Self.kept {
      for delay in [0, 1] {
        let what = "\(accounting), no memory for page \(delay)"
        let rig = try PinRig()
        let machine = rig.machine
        let start = try rig.map(rig.unit)
        // So that the pins allocate nothing but the pages themselves.
        try machine.touch(rig.process, start + (rig.unit - 1) * 4096, write: true)
        func pin() -> PinError? {
          pinError {
            _ = try machine.pin(
              rig.process, at: start, pages: 3, flags: [.write, .longterm], entry: .slow,
              accounting: accounting)
          }
        }
        machine.injectFailures(.allocation, count: 1, after: delay)
        let error = pin()
        if delay == 0 {
          #expect(error?.errno == .noMemory, "\(what)")
        } else {
          #expect(error?.errno == (accounting == .registered ? .badAddress : nil), "\(what)")
        }
        #expect(error == nil || error?.stage == .fault, "\(what), the reason is kept")
        machine.injectFailures(.memlock, count: 1)
        #expect(pin()?.stage == .account, "\(what), no charge")
        #expect(rig.acquired == rig.released, "\(what)")
        #expect(Self.charged(rig) == [0, 0, 0], "\(what)")
        #expect(machine.pinHolders.count == 0, "\(what)")
        rig.check(what)
      }
    }
  }

  @Test(
    "VFIO and RDMA charge pages; io_uring every folio whole, once in a registration (io_buffer_account_pin)")
  func folios() throws {
    for kind in [PageKind.hugetlb, .hugePMD, .hugePTE] {
      for accounting in Self.kept {
        let what = "\(kind.rawValue) \(accounting)"
        let rig = try PinRig()
        let start = try rig.make(kind)
        let whole = accounting == .registered
        func pin(_ page: Int, _ pages: Int) throws -> PinnedPages {
          try rig.machine.pin(
            rig.process, at: start + page * 4096, pages: pages, flags: [.write, .longterm],
            accounting: accounting)
        }
        let one = try pin(1, 1)
        #expect(Self.charged(rig) == Self.expected(accounting, whole ? rig.unit : 1), "\(what), one page")
        let again = try pin(0, rig.unit)
        // Another registration is charged for itself.
        let both = whole ? 2 * rig.unit : 1 + rig.unit
        #expect(Self.charged(rig) == Self.expected(accounting, both), "\(what), two registrations")
        rig.check(what)
        one.unpin()
        again.unpin()
        #expect(Self.charged(rig) == [0, 0, 0], "\(what), given back")
        rig.check(what + ", given back")
      }
    }
    // Pages of one folio on both sides of another one: both are charged once.
    let rig = try PinRig()
    let huge = rig.machine.memmap.head(of: try #require(rig.frame(try rig.make(.hugePMD))))
    let small = try #require(rig.frame(try rig.make(.anonymous)))
    let frames = [huge, huge + 1, small, huge + 2, small]
    #expect(rig.machine.pins.wholeFolios(frames) == rig.unit + 2, "a folio met again")
  }

  @Test(
    "VFIO does not charge the zero page, which is reserved; RDMA and io_uring do (is_invalid_reserved_pfn)")
  func zeroPage() throws {
    for (accounting, pages) in [(PinAccounting.locked, 1), (.pinned, 4), (.registered, 4)] {
      let rig = try PinRig()
      let start = try rig.make(.zeroPage)
      try rig.machine.touch(rig.process, start + 2 * 4096, write: true)
      let pins = try rig.machine.pin(
        rig.process, at: start, pages: 4, flags: .longterm, entry: .slow, accounting: accounting)
      #expect(pins.count == 4, "\(accounting)")
      #expect(Self.charged(rig) == Self.expected(accounting, pages), "\(accounting)")
      rig.check("\(accounting)")
      pins.unpin(0..<2)
      rig.check("\(accounting), in part")
      pins.unpin()
      #expect(Self.charged(rig) == [0, 0, 0], "\(accounting), given back")
    }
  }

  @Test("a user's processes share one count of registered pages, each with its own limit (__io_account_mem)")
  func user() throws {
    for accounting in Self.kept {
      let rig = try PinRig()
      let machine = rig.machine
      let other = try machine.createProcess(name: "other", memlockLimit: 4 * 4096)
      func pin(_ process: Process, _ pages: Int) throws -> PinnedPages {
        let start = try machine.map(process, pages: pages)
        return try machine.pin(process, at: start, pages: pages, flags: .write, accounting: accounting)
      }
      rig.process.memlockLimit = 3 * 4096
      let three = try pin(rig.process, 3)
      #expect(
        pinError { _ = try pin(other, 2) }?.errno == (accounting == .registered ? .noMemory : nil),
        "\(accounting), together beyond the limit of the second")
      let one = try pin(other, 1)
      rig.check("\(accounting), within it")
      three.unpin()
      let four = pinError { _ = try pin(other, 3) }
      #expect(four == nil, "\(accounting), when the first has given its back")
      machine.exit(other)
      rig.check("\(accounting), exited")
      // The user's count outlives the process.
      #expect(Self.charged(rig) == [0, 0, accounting == .registered ? 1 : 0], "\(accounting), exited")
      one.unpin()
      #expect(Self.charged(rig) == [0, 0, 0], "\(accounting), all given back")
    }
  }
}
