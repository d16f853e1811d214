/// One execution: what its actors do next, what they have done, and which of them can run.
///
/// `begin` replaces it by the next execution, which takes over memory and nothing else: every other property has the
/// value that it is declared with. What an execution leaves behind therefore cannot reach the next one.
///
/// Nothing here calls the program or switches fibers, since both come back to the explorer.
///
/// Functions of the hot path are `mutating`, even if they change nothing: the others get a copy of the whole value
/// unless they are inlined.
struct Execution: ~Copyable {
  /// How an execution ended.
  enum Ending {
    case running, completed, redundant, deadlock, livelock, endless, found, diverged
  }

  /// What the actors run for.
  enum Phase {
    /// Each actor runs to its first schedule point.
    case starting
    case running
    /// The execution has ended, and the actors are brought to their ends.
    case draining
  }

  /// The number that means no process.
  static let nobody = 255

  // MARK: What the next execution takes over

  let actorCount: Int
  /// What each process does next.
  let pending: UnsafeMutablePointer<Pending>
  /// The steps; those of the execution before are kept, since the next one begins with some of them.
  let events: UnsafeMutablePointer<Event>
  /// What happened before the next step of each process, if events are ordered.
  let clocks: UnsafeMutablePointer<Clock>
  /// The names of the program's steps that the actors are in.
  let names: UnsafeMutablePointer<UInt16>
  var objects: ObjectTable
  var buffers: StoreBuffers
  var retries: Retries
  var races: DataRaces

  // MARK: What every execution begins with

  var phase = Phase.starting
  var ending = Ending.running
  /// The actors that have not ended.
  private(set) var alive: ProcessSet
  /// The actors whose next operation may have to wait.
  private var conditional: ProcessSet = 0
  /// The actor that runs.
  var current = Execution.nobody
  /// The actor that took the last step.
  var previous = Execution.nobody
  /// The number of steps.
  var depth = 0
  /// The processes whose next step leads to executions that are covered already.
  var childSleep: ProcessSet = 0
  var preemptions = 0
  /// The number of choices other than 0.
  var choices = 0
  /// The steps that were taken to bring actors to their ends.
  var drained = 0
  /// The flaw that ends the execution.
  var flaw: Flaw?
  /// The names of the flaws that did not end it.
  var notedFlaws: [String] = []
  /// The random numbers of this execution: they do not depend on the worker that runs it.
  var random: RandomSource

  /// The memory for the executions of a program.
  init(actors: Int, _ settings: ExplorationSettings) {
    actorCount = actors
    alive = 0
    random = RandomSource(0, execution: 0)
    pending = .allocate(capacity: ExploredProgram.maximumActors)
    pending.initialize(repeating: Pending(), count: ExploredProgram.maximumActors)
    events = .allocate(capacity: settings.stepLimit + 1)
    clocks = .allocate(capacity: ExploredProgram.maximumActors)
    clocks.initialize(repeating: Clock(), count: ExploredProgram.maximumActors)
    names = .allocate(capacity: ExploredProgram.maximumActors)
    names.initialize(repeating: 0, count: ExploredProgram.maximumActors)
    objects = ObjectTable()
    buffers = StoreBuffers(actors: actors, isOn: settings.storeBuffers)
    retries = Retries(actors: actors, freeRetries: settings.freeRetries)
    races = DataRaces(actors: actors, isOn: settings.findsDataRaces)
  }

  /// The execution that follows another one.
  @inline(__always)
  private init(after last: borrowing Execution, random: RandomSource) {
    self.random = random
    actorCount = last.actorCount
    pending = last.pending
    events = last.events
    clocks = last.clocks
    names = last.names
    for process in 0..<ExploredProgram.maximumActors {
      clocks[process] = Clock()
      names[process] = 0
    }
    objects = last.objects
    objects.begin()
    buffers = StoreBuffers(after: last.buffers)
    retries = Retries(after: last.retries)
    races = DataRaces(after: last.races)
    alive = ProcessSet.max >> ProcessSet(ExploredProgram.maximumActors - last.actorCount)
  }

  /// Begins the next execution.
  mutating func begin(random: RandomSource) { self = Execution(after: self, random: random) }

  func deallocate() {
    pending.deallocate()
    events.deallocate()
    clocks.deallocate()
    names.deallocate()
    objects.deallocate()
    buffers.deallocate()
    retries.deallocate()
    races.deallocate()
  }

  /// The actor of a process.
  @inline(__always)
  func actor(of process: Int) -> Int { process < actorCount ? process : process - actorCount }

  // MARK: What actors do next

  /// Keeps what an actor does when it is chosen next.
  @inline(__always)
  mutating func announce(
    _ actor: Int, _ kind: PointKind, _ flags: UInt8, _ address: UInt, _ word: UnsafeMutablePointer<UInt64>?
  ) {
    let next = pending + actor
    next.pointee.kind = kind
    next.pointee.flags = flags
    next.pointee.access = Access.of(kind)
    next.pointee.address = address
    var mayWait = false
    retries.setWaiting(actor, kind == .wait)
    if kind == .wait {
      next.pointee.object = -1
      mayWait = true
    } else {
      next.pointee.object = objects.find(address)
      switch kind {
      case .acquire, .acquireShared, .awaitClear:
        next.pointee.word = word?.pointee ?? 0
        mayWait = true
      case .tryAcquire, .compareExchange: next.pointee.word = word?.pointee ?? 0
      default: break
      }
    }
    if buffers.isOn {
      if flags & PointFlags.mayBeHeldBack != 0 {
        next.pointee.word = word?.pointee ?? 0
        next.pointee.access = Access.none
      } else if kind != .load && kind != .awaitClear && kind != .wait {
        // A locked operation waits until the buffer is empty.
        mayWait = true
      }
    }
    if mayWait { conditional |= only(actor) } else { conditional &= ~only(actor) }
  }

  /// An actor's body has ended.
  mutating func actorEnded(_ actor: Int) {
    alive &= ~only(actor)
    conditional &= ~only(actor)
    retries.setWaiting(actor, false)
    retries.progress()
  }

  /// Gives up the actors that have not ended.
  mutating func abandon() {
    current = Self.nobody
    alive = 0
  }

  // MARK: Which processes can run

  /// The processes that can run now.
  @inline(__always)
  mutating func enabledProcesses() -> ProcessSet {
    var enabled = (alive & ~conditional) | buffers.flushable
    var rest = alive & conditional
    while rest != 0 {
      let actor = rest.first
      rest &= rest &- 1
      if isReady(actor) { enabled |= only(actor) }
    }
    return enabled
  }

  @inline(__always)
  private mutating func isReady(_ actor: Int) -> Bool {
    let next = pending + actor
    switch next.pointee.kind {
    case .wait: return phase == .draining || retries.isReady(actor)
    case .acquire, .acquireShared, .awaitClear:
      if buffers.isOn, next.pointee.kind != .awaitClear, buffers.isHolding(actor) { return false }
      return Pending.isClear(next.pointee.address, next.pointee.word)
    default: return !buffers.isHolding(actor)
    }
  }

  /// The process that took the last step if it can continue, or its buffer if it waits for that; or `nobody`.
  @inline(__always)
  mutating func continuing(_ enabled: ProcessSet) -> Int {
    if previous == Self.nobody || pending[previous].kind == .wait { return Self.nobody }
    if enabled.has(previous) { return previous }
    let buffer = previous + actorCount
    return buffers.isOn && alive.has(previous) && buffers.flushable.has(buffer) ? buffer : Self.nobody
  }

  /// The process to take if nothing speaks for another: those that try again come last, and in turn.
  @inline(__always)
  mutating func ordinary(_ set: ProcessSet) -> Int {
    let others = set & ~retries.waiting
    if others != 0 { return others.first }
    let later = set & ~(only(retries.rounds.turn) &* 2 &- 1)
    return later != 0 ? later.first : set.first
  }
}
