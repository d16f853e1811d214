import Interleaving
import Testing

@testable import Holdfast

@Suite("Observation")
struct ObservationTests {
  /// A machine of 32 frames, half of them movable, with a pinned page, a mapped one and a CMA area.
  private static func tiny() throws -> PinRig {
    let rig = try PinRig(.movable, frames: 32) {
      $0.nodes[0].processors = 1
      $0.cmaAreas = [CMAConfiguration(name: "video", frames: 4, base: FrameNumber(8))]
    }
    let start = try rig.map(2)
    for page in 0..<2 { try rig.machine.touch(rig.process, start + page * 4096, write: true) }
    rig.machine.drainLRUAll(for: rig.process)
    let pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
    pins.unpin()
    rig.machine.drainLRUAll(for: rig.process)
    for zone in rig.machine.zones { rig.machine.drainPerCPULists(zone) }
    return rig
  }

  @Test("the kernel's texts of a tiny machine, word for word (spec 10.1 to 10.3)")
  func texts() throws {
    let rig = try Self.tiny()
    for (name, text) in [
      ("vmstat", rig.machine.vmstatText), ("zoneinfo", rig.machine.zoneinfoText),
      ("buddyinfo", rig.machine.buddyinfoText), ("pagetypeinfo", rig.machine.pagetypeinfoText),
    ] {
      print("=== \(name)\n\(text)===")
    }
    rig.check("texts")
  }

  @Test("the words of kpageflags and kpagecount for every kind of page (spec 10.4)")
  func words() throws {
    for kind in PageKind.allCases {
      let rig = try PinRig()
      let start = try rig.make(kind)
      guard let frame = rig.frame(start) else { continue }
      let head = rig.machine.head(of: frame)
      print(kind.rawValue, Self.names(rig.machine.kpageflags(head)), rig.machine.kpagecount(head),
        kind.isLarge ? Self.names(rig.machine.kpageflags(head + 1)) : [], String(rig.machine.pagemapWord(rig.process, start), radix: 16))
    }
  }

  static let bits = [
    "locked", "error", "referenced", "uptodate", "dirty", "lru", "active", "slab", "writeback", "reclaim", "buddy",
    "mmap", "anon", "swapcache", "swapbacked", "head", "tail", "huge", "unevictable", "hwpoison", "nopage", "ksm",
    "thp", "offline", "zero", "idle", "pgtable", "27", "28", "29", "30", "31", "reserved", "mlocked", "exclusive",
    "private", "private2", "owner",
  ]

  static func names(_ word: UInt64) -> [String] {
    bits.enumerated().filter { word & (1 << UInt64($0.offset)) != 0 }.map(\.element)
  }

  @Test("page dumps have the shape of their kernel (spec 1.12)")
  func dumps() throws {
    for policy in PlacementPolicy.all {
      let rig = try PinRig(policy: policy)
      for kind in [PageKind.anonymous, .hugePMD] {
        let start = try rig.make(kind)
        let pins = try rig.machine.pin(rig.process, at: start, pages: 2, flags: .write)
        for i in 0..<2 {
          print(policy.name, kind.rawValue, i)
          print(rig.machine.dump(pins[i], reason: "gup_test failure").joined(separator: "\n"))
        }
        pins.unpin()
      }
    }
  }

  @Test("what is reported while a page is pinned, moved and unpinned, in order")
  func trace() throws {
    let trace = PinTrace()
    let rig = try PinRig(.movable, trace: trace)
    let start = try rig.map(1)
    trace.events = []
    try rig.machine.touch(rig.process, start, write: true)
    let pins = try rig.machine.pin(rig.process, at: start, pages: 1, flags: [.write, .longterm])
    pins.unpin()
    for event in trace.events { print(event) }
  }
}
