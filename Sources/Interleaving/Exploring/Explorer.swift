import CLinux

/// One search of the executions of a program, on one thread.
///
/// Its parts are the fibers, the execution under way, what decides, and the search so far. The explorer itself is the
/// schedule point: it runs on the fiber of the actor that reached a point, lets the parts work, and switches to the
/// fiber that runs next. Only the explorer calls the program and switches fibers; it comes back to itself from both,
/// so no access to a part may be under way.
final class Explorer {
  let program: ExploredProgram
  let settings: ExplorationSettings
  let strategy: ExplorationStrategy
  // Never optional on its way here: each wrapping of a function makes its calls slower.
  let check: (Moment) -> Violation?
  /// Called with the trace of each execution that went to its end.
  let onTrace: ((UInt64) -> Void)?
  let programHash: UInt64
  let actorCount: Int
  /// Whether events are ordered by clocks.
  let tracksOrder: Bool
  /// Whether one execution of each trace is enough.
  let reduces: Bool

  var fibers: Fibers
  var execution: Execution
  let decider: Decider
  var search: Search
  /// Whether points do nothing at the moment: while the state is restored or checked.
  var isMuted = true

  /// A search of a job's program.
  ///
  /// - Parameter isLenient: whether a recorded schedule is followed as far as it can be.
  /// - Throws: `ExplorationError` if the settings, the strategy and the program do not fit, or if the host has no
  ///   memory for the fibers.
  init(
    _ job: ExplorationJob, _ strategy: ExplorationStrategy, _ settings: ExplorationSettings,
    isLenient: Bool = false
  ) throws(ExplorationError) {
    program = job.program
    self.settings = settings
    self.strategy = strategy
    check = job.check
    onTrace = job.onTrace
    programHash = job.program.hash
    actorCount = job.program.actors.count
    try settings.check(strategy, job.program)
    fibers = try Fibers(actors: actorCount)
    execution = Execution(actors: actorCount, settings)
    decider = Decider(strategy, isLenient: isLenient)
    search = Search(stepLimit: settings.stepLimit)
    reduces = decider.isReduced
    tracksOrder = reduces || onTrace != nil || settings.mergesEqualTraces
    fibers.prepareAll(of: self)
  }

  deinit {
    fibers.deallocate()
    execution.deallocate()
    decider.deallocate()
    search.deallocate()
  }

  /// The search that runs on this thread, if there is one.
  static func withCurrent<Result>(_ body: (Explorer) -> Result) -> Result? {
    guard let context = hf_point_context() else { return nil }
    return Unmanaged<Explorer>.fromOpaque(context)._withUnsafeGuaranteedRef(body)
  }

  /// Does something while the points and the traps of this thread are this search's.
  func onThisThread(
    _ body: () throws(ExplorationError) -> ExplorationReport
  ) throws(ExplorationError) -> ExplorationReport {
    guard hf_point_context() == nil else {
      throw ExplorationError("a search is under way on this thread, and there can be but one")
    }
    hf_set_point_context(Unmanaged.passUnretained(self).toOpaque())
    defer { hf_set_point_context(nil) }
    let caught = hf_catch_traps(
      { context, signal in
        guard let context else { return }
        Unmanaged<Explorer>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.trapped(signal) }
      }, Unmanaged.passUnretained(self).toOpaque())
    guard caught == 0 else {
      throw ExplorationError("signal stack: errno \(-caught), expected memory from the host")
    }
    defer { _ = hf_catch_traps(nil, nil) }
    return try body()
  }

  /// Does something that reaches points of the program which are no steps.
  @inline(__always)
  func muted<Result>(_ body: () -> Result) -> Result {
    isMuted = true
    defer { isMuted = false }
    return body()
  }
}

extension ExplorationSettings {
  /// Checks that the settings, a strategy and a program fit.
  fileprivate func check(
    _ strategy: ExplorationStrategy, _ program: ExploredProgram
  ) throws(ExplorationError) {
    let most = storeBuffers ? ExploredProgram.maximumActors / 2 : ExploredProgram.maximumActors
    guard (1...most).contains(program.actors.count) else {
      throw ExplorationError("actors: found \(program.actors.count), expected 1 to \(most)")
    }
    guard (1...60_000).contains(stepLimit) else {
      throw ExplorationError("step limit: found \(stepLimit), expected 1 to 60000")
    }
    var canMerge = false
    switch strategy {
    case .preemptionBounded, .naive: canMerge = true
    case .reduced, .random: break
    case .priorities(let depth, _):
      guard depth > 0 else { throw ExplorationError("priorities: found depth \(depth), expected 1 or more") }
    case .replay(let schedule):
      guard schedule.programHash == program.hash else {
        throw ExplorationError(
          "schedule: found one of program \(String(schedule.programHash, radix: 16)), expected "
            + String(program.hash, radix: 16))
      }
    }
    guard !mergesEqualStates || canMerge && program.stateHash != nil else {
      throw ExplorationError(
        "merging of equal states: expected a depth-first search and a program with stateHash")
    }
    guard !mergesEqualTraces || canMerge && !mergesEqualStates else {
      throw ExplorationError(
        "merging of equal traces: expected a depth-first search that merges nothing else")
    }
  }
}
