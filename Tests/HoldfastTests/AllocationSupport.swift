import Interleaving

@testable import Holdfast

/// A generator that repeats from its seed (SplitMix64).
struct Seeded: RandomNumberGenerator {
  var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

extension Machine {
  /// A process without an address space, on a processor and in allocation scopes.
  func bareProcess(on processor: Int = 0, scope: AllocationScope = []) throws -> Process {
    struct NoRow: Error {}
    guard let id = pools.allocate(.processes) else { throw NoRow() }
    let process = spaces.process(ProcessID(rawValue: id.rawValue))
    process.unshared.id = ProcessID(rawValue: id.rawValue)
    process.processor = processor
    process.scope = scope
    return process
  }

  /// The zones that have memory.
  var populatedZones: [ZoneID] {
    (0..<layout.zones.count).map(ZoneID.init(rawValue:)).filter { buddy.zone($0).isPopulated }
  }

  /// What contradicts itself in the free memory of any zone.
  var freeListProblems: [String] { populatedZones.flatMap { buddy.recountFree(zone: $0).problems } }

  /// Frames that are free, on per-CPU lists or not.
  var freeFrames: Int {
    populatedZones.reduce(0) { sum, id in
      let recount = buddy.recountFree(zone: id)
      return sum + recount.free + recount.isolated + recount.perCPU
    }
  }

  func drainAllPerCPULists() { for id in populatedZones { allocator.drainPerCPULists(id) } }

  /// Sections whose metadata was made.
  var madeSections: Int {
    (0..<frameCount >> geometry.sectionOrder).count { buddy.sectionState($0) == .made }
  }
}

/// A range of frames, for tables.
func frames(_ start: Int, _ end: Int) -> FrameRange {
  FrameRange(start: FrameNumber(start), count: end - start)
}

/// Zones of node 0, for tables.
func extent(_ kind: ZoneKind, _ start: Int, _ end: Int, node: Int = 0) -> ZoneExtent {
  ZoneExtent(zone: ZoneID(node: node, kind: kind), frames: frames(start, end))
}
