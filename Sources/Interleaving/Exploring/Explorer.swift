import CLinux

/// One search: its fibers, the execution under way, and what the executions before it left to do.
///
/// Everything happens on one thread. The scheduler runs inside the schedule point, on the fiber of the actor
/// that reached it, and goes straight to the fiber that is next. Fibers run from one execution to the next and are
/// left behind only after a deadlock, a livelock or a trap, when nothing else is possible.
final class Explorer {
  /// How one execution ended.
  enum Ending {
    case running, completed, redundant, deadlock, livelock, endless, found, diverged
  }

  /// Who decides.
  enum Mode {
    case depthFirst, reduced, random, priorities, guided
  }

  static let nobody = 255

  let program: ExploredProgram
  let settings: ExplorationSettings
  let strategy: ExplorationStrategy
  let mode: Mode
  let bound: Int
  // Never optional on its way here: each wrapping of a function makes its calls dearer.
  let check: (Moment) -> Violation?
  let hash: UInt64
  let actorCount: Int
  let actorSet: ProcessSet
  let stepLimit: Int
  /// Whether events are ordered by clocks: for the reduction.
  let tracksOrder: Bool
  let findsRaces: Bool
  let buffers: Bool

  // Fibers; the place after the last actor is the caller's.
  let stacks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  let resumes: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  let held: UnsafeMutablePointer<hf_held_locks>
  let entries: UnsafeMutablePointer<FiberEntry>
  var trapSignal: Int32 = 0
  var hasTrapped = false

  // The execution under way.
  let pending: UnsafeMutablePointer<Pending>
  let events: UnsafeMutablePointer<Event>
  let nodes: UnsafeMutablePointer<Node>
  let clocks: UnsafeMutablePointer<Clock>
  let synchronised: UnsafeMutablePointer<Clock>
  let stamps: UnsafeMutablePointer<UInt16>
  /// For each process the clock that is all ones for it, and zero for all others.
  let ownLanes: UnsafeMutablePointer<Clock>
  /// What each actor has read since it last tried again, and how often it has done so.
  var watched: [[Int32]] = []
  let retried: UnsafeMutablePointer<Int>
  /// Actors that wait to try again, and those that have read something which others have written since.
  var retrying: ProcessSet = 0
  var changed: ProcessSet = 0
  let names: UnsafeMutablePointer<UInt16>
  var objects = ObjectTable()
  var heldStores: [[HeldStore]] = []
  var epoch: UInt64 = 0
  var alive: ProcessSet = 0
  var conditional: ProcessSet = 0
  var flushable: ProcessSet = 0
  var current = Explorer.nobody
  var previous = Explorer.nobody
  var depth = 0
  /// Decisions that are those of the execution before.
  var prefix = 0
  /// Events from the beginning whose clocks are known from the execution before.
  var known = 0
  var ending = Ending.running
  /// Whether points are nothing at the moment: while the state is restored or checked.
  var isMuted = true
  var isStarting = false
  /// Whether the execution goes on only to bring fibers to their ends.
  var isDraining = false
  var drained = 0
  var childSleep: ProcessSet = 0
  var preemptions = 0
  var choices = 0
  var violation: (kind: Finding.Kind, name: String, text: String)?
  var retries = RetryRounds()

  // What decides.
  var random: RandomSource
  var guide: [Schedule.Decision] = []
  var guidePosition = 0
  var guideChoices: [Int] = []
  var isLenient = false
  let ranks: UnsafeMutablePointer<Int>
  var changePoints: [Int] = []
  /// Steps of the first execution.
  var longest: Int?

  // The search.
  var counts = ExplorationReport.Counts()
  /// The numbers of steps by which `counts.orders` was found last.
  var measured = Clock()
  var stepsTaken = 0
  var findings: [Finding] = []
  var occurrences: [String: Int] = [:]
  /// Whether something was left out.
  var isCut = false
  var seen: [UInt64: UInt16] = [:]
  /// Whether there is more to do.
  var isLeft = true
  /// The number of the execution under way, from 1.
  var number = 0
  /// What other workers share, and the decisions of this one's path that they know.
  var sharing: SharedSearch?
  var sharedPath: [SharedNode] = []
  /// Hashes of the trace after each of so many steps, where equal traces are merged.
  var sums: [UInt64] = []
  var summed = 0
  /// Told the trace of each execution that went to its end: for tests.
  let onTrace: ((UInt64) -> Void)?
  var notedHere: [String] = []
  var choiceNames: [String] = []

  /// A search of a program.
  init(
    _ program: ExploredProgram, _ strategy: ExplorationStrategy, _ settings: ExplorationSettings,
    check: @escaping (Moment) -> Violation?, onTrace: ((UInt64) -> Void)? = nil
  ) throws(ExplorationError) {
    let most = settings.storeBuffers ? ExploredProgram.maximumActors / 2 : ExploredProgram.maximumActors
    guard (1...most).contains(program.actors.count) else {
      throw ExplorationError("actors: found \(program.actors.count), expected 1 to \(most)")
    }
    guard (1...60_000).contains(settings.stepLimit) else {
      throw ExplorationError("step limit: found \(settings.stepLimit), expected 1 to 60000")
    }
    self.program = program
    self.settings = settings
    self.strategy = strategy
    self.check = check
    hash = program.hash
    actorCount = program.actors.count
    actorSet = ProcessSet.max >> ProcessSet(ExploredProgram.maximumActors - program.actors.count)
    stepLimit = settings.stepLimit
    findsRaces = settings.findsDataRaces
    buffers = settings.storeBuffers
    random = RandomSource(state: 0)
    var bound = Int.max
    switch strategy {
    case .preemptionBounded(let most):
      mode = .depthFirst
      bound = most
    case .naive: mode = .depthFirst
    case .reduced: mode = .reduced
    case .random(let seed):
      mode = .random
      random.state = seed
    case .priorities(let depth, let seed):
      guard depth > 0 else { throw ExplorationError("priorities: found depth \(depth), expected 1 or more") }
      mode = .priorities
      random.state = seed
    case .replay(let schedule):
      guard schedule.programHash == hash else {
        throw ExplorationError(
          "schedule: found one of program \(String(schedule.programHash, radix: 16)), expected "
            + String(hash, radix: 16))
      }
      mode = .guided
      guide = schedule.decisions
    }
    self.bound = bound
    let merges = settings.mergesEqualStates
    guard !merges || mode == .depthFirst && program.stateHash != nil else {
      throw ExplorationError(
        "merging of equal states: expected a depth-first search and a program with stateHash")
    }
    guard !settings.mergesEqualTraces || mode == .depthFirst, !settings.mergesEqualTraces || !merges else {
      throw ExplorationError(
        "merging of equal traces: expected a depth-first search that merges nothing else")
    }
    tracksOrder = mode == .reduced || onTrace != nil || settings.mergesEqualTraces
    self.onTrace = onTrace

    let places = actorCount + 1
    stacks = .allocate(capacity: places)
    stacks.initialize(repeating: nil, count: places)
    resumes = .allocate(capacity: places)
    resumes.initialize(repeating: nil, count: places)
    held = .allocate(capacity: places)
    held.initialize(repeating: hf_held_locks(), count: places)
    entries = .allocate(capacity: places)
    pending = .allocate(capacity: ExploredProgram.maximumActors)
    pending.initialize(repeating: Pending(), count: ExploredProgram.maximumActors)
    events = .allocate(capacity: stepLimit + 1)
    nodes = .allocate(capacity: stepLimit + 1)
    clocks = .allocate(capacity: ExploredProgram.maximumActors)
    synchronised = .allocate(capacity: ExploredProgram.maximumActors)
    stamps = .allocate(capacity: ExploredProgram.maximumActors)
    ownLanes = .allocate(capacity: ExploredProgram.maximumActors)
    for process in 0..<ExploredProgram.maximumActors {
      var lanes = Clock()
      lanes[process] = .max
      (ownLanes + process).initialize(to: lanes)
    }
    retried = .allocate(capacity: ExploredProgram.maximumActors)
    names = .allocate(capacity: ExploredProgram.maximumActors)
    ranks = .allocate(capacity: ExploredProgram.maximumActors)
    heldStores = Array(repeating: [], count: actorCount)
    watched = Array(repeating: [], count: actorCount)
    for actor in 0..<actorCount {
      entries[actor] = FiberEntry(explorer: Unmanaged.passUnretained(self), actor: actor)
      let result = hf_fiber_map_stack(stacks + actor, FiberEntry.stackSize)
      guard result == 0 else {
        freeMemory()
        throw ExplorationError("stack of actor \(actor): errno \(-result), expected memory from the host")
      }
      prepareFiber(actor)
    }
  }

  deinit { freeMemory() }

  private func freeMemory() {
    for actor in 0..<actorCount {
      if let stack = stacks[actor] { _ = hf_fiber_unmap_stack(stack, FiberEntry.stackSize) }
    }
    stacks.deallocate()
    resumes.deallocate()
    held.deallocate()
    entries.deallocate()
    pending.deallocate()
    events.deallocate()
    nodes.deallocate()
    clocks.deallocate()
    synchronised.deallocate()
    stamps.deallocate()
    ownLanes.deallocate()
    retried.deallocate()
    names.deallocate()
    ranks.deallocate()
    objects.deallocate()
  }
}
