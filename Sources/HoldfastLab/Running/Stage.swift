import Holdfast
import HoldfastScenario

/// The state of a run: the machine, and what the scenario's names refer to.
///
/// Only the thread that has the scheduler's turn uses it.
final class Stage {
  /// A mapping that the scenario has named.
  struct Region {
    let process: String
    let address: VirtualAddress
    let pages: Int
    let object: ObjectHandle?
    /// Where it begins in the object, in bytes.
    var offset: UInt64 = 0
  }

  /// Pins or references that have a name.
  final class Hold {
    let process: String
    let label: String
    var pins: [HeldPins] = []
    /// Memory that is mapped for devices, which then is all that is held.
    var mapping: DeviceMapping?
    /// The devices' addresses whose pages are known to be incoherent.
    var incoherent: Set<UInt64> = []
    init(process: String, label: String) {
      self.process = process
      self.label = label
    }
    /// The same pins, for a machine that is put back to now.
    init(again other: Hold) {
      process = other.process
      label = other.label
      pins = other.pins.map(HeldPins.init(again:))
      mapping = other.mapping
    }
  }

  /// A pin in a box: collections cannot hold what is not copyable.
  final class HeldPins {
    var pinned: PinnedPages?
    var gotten: GottenPages?
    let frames: [FrameNumber]
    /// Whose memory it is, and where it was taken.
    let owner: String
    let address: VirtualAddress
    init(pinned: consuming PinnedPages, of owner: String, at address: VirtualAddress) {
      self.owner = owner
      self.address = address
      frames = pinned.withFrames(Array.init)
      self.pinned = consume pinned
    }
    init(gotten: consuming GottenPages, of owner: String, at address: VirtualAddress) {
      self.owner = owner
      self.address = address
      frames = (0..<gotten.count).map { gotten[$0] }
      self.gotten = consume gotten
    }
    init(again other: HeldPins) {
      frames = other.frames
      owner = other.owner
      address = other.address
      pinned = other.pinned?.again()
      gotten = other.gotten?.again()
    }
    /// Forgets the pages without releasing them.
    func forget() {
      pinned?.forget()
      gotten?.forget()
    }
  }

  /// An open container, and who has opened it.
  struct OpenContainer {
    let handle: DeviceContainer
    /// The same as an IO address space, if it is one.
    let shared: IOAddressSpace?
    let process: String
  }

  /// Kernel allocations that have a name.
  struct Frames {
    var order: Int
    var heads: [FrameNumber]
  }

  let machine: Machine
  let scenario: Scenario
  let policy: PolicyName
  var processes: [String: Process] = [:] {
    didSet {
      actors = actors.filter { processes[$0.value] != nil }
      for (name, process) in processes where oldValue[name] == nil { actors[process.id] = name }
    }
  }
  /// The actors by the numbers of their processes.
  ///
  /// Nothing orders another actor's look into the row of a process with the fork that makes it.
  private(set) var actors: [ProcessID: String] = [:]
  /// Threads that have a row of their own, by actor.
  var threads: [String: Process] = [:]
  /// The processor of each actor, for those that begin with a fork.
  let processors: [String: Int]
  /// Whether each thread of a process has a row of its own.
  let hasThreads: Bool
  var regions: [String: Region] = [:]
  /// The regions that each child of a fork has from its parent.
  var inherited: [String: Set<String>] = [:]
  var holds: [String: Hold] = [:]
  /// Pins without a name, which are kept until the end.
  var unnamed: [Hold] = []
  var scopes: [String: AllocationScope] = [:]
  var frames: [String: Frames] = [:]
  var keptFrames: [Frames] = []
  var contiguous: [String: (area: Int, range: FrameRange)] = [:]
  var isolations: [String: [FrameNumber]] = [:]
  var keptIsolations: [FrameNumber] = []
  var containers: [String: OpenContainer] = [:]
  /// Devices that are in a container.
  var devices: [String: DeviceGroup] = [:]
  /// The devices that mirror processes, by process.
  var mirrors: [String: DeviceMirror] = [:]
  /// Labels by the clock of the step that took a pin, so that holders can be named.
  var pinLabels: [(owner: ProcessID, tick: UInt64, label: String, pin: String?)] = []
  /// CMA areas by name.
  let areaIndex: [String: Int]
  /// Whether steps say in words what they did, for a report of each.
  var isVerbose = true

  init(
    machine: Machine, scenario: Scenario, policy: PolicyName, processors: [String: Int], hasThreads: Bool
  ) {
    self.machine = machine
    self.scenario = scenario
    self.policy = policy
    self.processors = processors
    self.hasThreads = hasThreads
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
    processors = other.processors
    hasThreads = other.hasThreads
    regions = other.regions
    inherited = other.inherited
    scopes = other.scopes
    frames = other.frames
    keptFrames = other.keptFrames
    contiguous = other.contiguous
    isolations = other.isolations
    keptIsolations = other.keptIsolations
    containers = other.containers
    devices = other.devices
    mirrors = other.mirrors
    pinLabels = other.pinLabels
    areaIndex = other.areaIndex
    isVerbose = other.isVerbose
    if !other.holds.isEmpty { holds = other.holds.mapValues(Hold.init(again:)) }
    if !other.unnamed.isEmpty { unnamed = other.unnamed.map(Hold.init(again:)) }
  }

  /// Forgets all pins without releasing any, since the machine is put back.
  func forgetHolds() {
    for hold in holds.values { for held in hold.pins { held.forget() } }
    for hold in unnamed { for held in hold.pins { held.forget() } }
  }

  /// The process that an actor runs in.
  func process(of actor: Scenario.Actor) throws(StepStop) -> Process {
    guard let process = threads[actor.name] ?? processes[actor.process] else {
      throw StepStop.failed(.ESRCH, .argument, "the process \(actor.process) has ended")
    }
    return process
  }

  /// The process that has a region mapped.
  func owner(of part: RegionPart<Region>) throws(StepStop) -> Process {
    guard let process = processes[part.region.process] else {
      throw StepStop.failed(.ESRCH, .argument, "the process of \(part.name) has ended")
    }
    return process
  }

  /// The process through which an actor reaches a part of a region: its own, if that has the region too.
  func process(of actor: Scenario.Actor, reaching part: RegionPart<Region>) throws(StepStop) -> Process {
    try reaches(actor.process, part.name, of: part.region.process) ? process(of: actor) : owner(of: part)
  }

  /// Whether a process has a region, as the one that has mapped it or from its parent.
  func reaches(_ process: String, _ region: String, of mapper: String) -> Bool {
    process == mapper || inherited[process]?.contains(region) ?? false
  }

  /// The isolated folios that actors hold, for the invariants.
  var isolatedFrames: [FrameNumber] { isolations.values.flatMap(\.self) + keptIsolations }

  /// The frames that actors allocated as the kernel would.
  var kernelFrames: Set<FrameNumber> {
    Set(frames.values.flatMap(\.heads) + keptFrames.flatMap(\.heads))
  }

}

/// Look-up by name for the interpreter; the verbs are in the files `Steps+*.swift`.
extension Stage: StepOperations {
  typealias Holding = Hold

  func beginRound() {}
  func region(_ name: String) -> Region? { regions[name] }
  func pageCount(of region: Region) -> Int { region.pages }
  func holding(_ name: String) -> Hold? { holds[name] }
  func pageCount(of hold: Hold) -> Int { hold.mapping?.pages ?? hold.pins.reduce(0) { $0 + $1.frames.count } }
}
