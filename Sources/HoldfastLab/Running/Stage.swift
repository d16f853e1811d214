import Holdfast
import HoldfastScenario

/// Everything that a run has at hand: the machine, and what the scenario's names stand for.
///
/// Touched by the holder of the scheduler's baton only.
final class Stage {
  /// A mapping that the scenario has named.
  struct Region {
    let process: String
    let address: VirtualAddress
    let pages: Int
    let object: ObjectHandle?
  }

  /// Pins or references under a name.
  final class Hold {
    let process: String
    let label: String
    var pins: [HeldPins] = []
    init(process: String, label: String) {
      self.process = process
      self.label = label
    }
    /// The same pins, for a machine that is put back to now.
    init(again other: Hold) {
      process = other.process
      label = other.label
      pins = other.pins.map(HeldPins.init(again:))
    }
  }

  /// A pin in a box: collections cannot hold what is not copyable.
  final class HeldPins {
    var pinned: PinnedPages?
    var gotten: GottenPages?
    let frames: [FrameNumber]
    init(pinned: consuming PinnedPages) {
      frames = pinned.withFrames(Array.init)
      self.pinned = consume pinned
    }
    init(gotten: consuming GottenPages) {
      frames = (0..<gotten.count).map { gotten[$0] }
      self.gotten = consume gotten
    }
    init(again other: HeldPins) {
      frames = other.frames
      pinned = other.pinned?.again()
      gotten = other.gotten?.again()
    }
    /// Lets go of the pages without giving them back.
    func forget() {
      pinned?.forget()
      gotten?.forget()
    }
  }

  /// Kernel allocations under a name.
  struct Frames {
    var order: Int
    var heads: [FrameNumber]
  }

  let machine: Machine
  let scenario: Scenario
  let policy: PolicyName
  var processes: [String: Process] = [:]
  /// Threads that have a row of their own, by actor.
  var threads: [String: Process] = [:]
  var regions: [String: Region] = [:]
  var holds: [String: Hold] = [:]
  /// Pins without a name, kept for ever.
  var unnamed: [Hold] = []
  var scopes: [String: AllocationScope] = [:]
  var frames: [String: Frames] = [:]
  var keptFrames: [Frames] = []
  var contiguous: [String: (area: Int, range: FrameRange)] = [:]
  var isolations: [String: [FrameNumber]] = [:]
  var keptIsolations: [FrameNumber] = []
  /// Labels by the clock of the step that took a pin, so that holders can be named.
  var pinLabels: [(owner: ProcessID, tick: UInt64, label: String, pin: String?)] = []
  /// CMA areas by name.
  let areaIndex: [String: Int]
  /// Whether steps say in words what they did, for a report of each.
  var isVerbose = true

  init(machine: Machine, scenario: Scenario, policy: PolicyName) {
    self.machine = machine
    self.scenario = scenario
    self.policy = policy
    var areas: [String: Int] = [:]
    for (index, area) in machine.configuration.cmaAreas.enumerated() { areas[area.name] = index }
    areaIndex = areas
  }

  /// The same, for a machine that is put back to now.
  init(again other: Stage) {
    machine = other.machine
    scenario = other.scenario
    policy = other.policy
    processes = other.processes
    threads = other.threads
    regions = other.regions
    scopes = other.scopes
    frames = other.frames
    keptFrames = other.keptFrames
    contiguous = other.contiguous
    isolations = other.isolations
    keptIsolations = other.keptIsolations
    pinLabels = other.pinLabels
    areaIndex = other.areaIndex
    isVerbose = other.isVerbose
    if !other.holds.isEmpty { holds = other.holds.mapValues(Hold.init(again:)) }
    if !other.unnamed.isEmpty { unnamed = other.unnamed.map(Hold.init(again:)) }
  }

  /// Lets go of all pins without giving any back, since the machine is put back.
  func forgetHolds() {
    for hold in holds.values { for held in hold.pins { held.forget() } }
    for hold in unnamed { for held in hold.pins { held.forget() } }
  }

  /// The process that an actor runs in.
  func process(of actor: Scenario.Actor) throws(StepFailure) -> Process {
    guard let process = threads[actor.name] ?? processes[actor.process] else {
      throw StepFailure(.ESRCH, .argument, "the process \(actor.process) has ended")
    }
    return process
  }

  /// A region that exists.
  func region(_ name: String) throws(StepFailure) -> Region {
    guard let region = regions[name] else {
      throw StepFailure(.EFAULT, .address, "the region \(name) was not mapped")
    }
    return region
  }

  /// Where a part of a region lies.
  func span(_ range: Verb.RegionRange) throws(StepFailure) -> (
    region: Region, address: VirtualAddress, pages: Int
  ) {
    let region = try region(range.region)
    let offset = Int(clamping: range.offset.pages)
    guard offset <= region.pages else {
      throw StepFailure(.EFAULT, .address, "\(range.region) has \(region.pages) pages, not \(offset)")
    }
    let pages = range.size.map { Int(clamping: $0.pages) } ?? (region.pages - offset)
    return (region, region.address + UInt64(offset * pageSize), pages)
  }

  /// The isolated folios that actors hold, for the invariants.
  var isolatedFrames: [FrameNumber] { isolations.values.flatMap(\.self) + keptIsolations }

  /// The frames that actors allocated as the kernel would.
  var kernelFrames: Set<FrameNumber> {
    Set(frames.values.flatMap(\.heads) + keptFrames.flatMap(\.heads))
  }

  /// Every hold there is.
  var allHolds: [Hold] { Array(holds.values) + unnamed }
}

/// Why a step failed.
struct StepFailure: Error {
  var errno: ErrorNumber
  var stage: FailureStage
  var cause: String
  var page: FrameNumber?
  var holders: [PinHolder]
  /// What was done before it failed.
  var done = StepDone()

  init(
    _ errno: ErrorNumber, _ stage: FailureStage, _ cause: String, page: FrameNumber? = nil,
    holders: [PinHolder] = []
  ) {
    self.errno = errno
    self.stage = stage
    self.cause = cause
    self.page = page
    self.holders = holders
  }
}

/// What a step did.
struct StepDone {
  var requested: Int64?
  var pages: Int64?
  var blocks: Int64?
  var passes: Int64?
  var frames: String?
  var text: String?
  /// A failure that does not undo what was done: a short pin, one block of several.
  var shortfall: [StepFailure] = []

  mutating func add(_ other: StepDone) {
    func sum(_ one: Int64?, _ other: Int64?) -> Int64? {
      one == nil && other == nil ? nil : (one ?? 0) + (other ?? 0)
    }
    requested = sum(requested, other.requested)
    pages = sum(pages, other.pages)
    blocks = sum(blocks, other.blocks)
    passes = sum(passes, other.passes)
    frames = other.frames ?? frames
    if let text = other.text { self.text = (self.text.map { $0 + "\n" } ?? "") + text }
    shortfall += other.shortfall
  }
}
