import Glibc

/// What the executions so far have come to, and what is left to do.
struct Search: ~Copyable {
  /// The decisions of the current path.
  let branches: UnsafeMutablePointer<Branch>
  /// The number of decisions that the next execution takes over from the one before.
  private(set) var prefix = 0
  /// The number of events whose order is known from the execution before.
  private(set) var known = 0
  /// What the workers of a search share, and the decisions of this worker's path that all of them know.
  var sharing: SharedSearch?
  private(set) var sharedPath: [SharedBranch] = []
  var seen = SeenStates()
  /// Whether there is more to do.
  var isLeft = true
  /// Whether something was left out.
  var isCut = false
  /// The number of the execution under way, from 1.
  private(set) var number = 0
  /// The number of steps of the first execution.
  var longest: Int?

  var counts = ExplorationReport.Counts()
  private(set) var stepsTaken = 0
  private(set) var findings: [Finding] = []
  private(set) var occurrences: [String: Int] = [:]
  /// The names of the choices that were met.
  private(set) var choiceNames: [String] = []
  /// The numbers of steps for which `counts.orders` was computed last.
  private var measured = Clock()

  init(stepLimit: Int) { branches = .allocate(capacity: stepLimit + 1) }

  func deallocate() { branches.deallocate() }

  // MARK: Executions

  /// Begins the next execution, if at most `limit` are allowed and there may be one more.
  mutating func takeExecution(limit: Int) -> Bool {
    if let sharing {
      guard let next = sharing.takeExecution() else { return false }
      number = next
    } else {
      if counts.executions >= limit { return false }
      number = counts.executions + 1
    }
    return true
  }

  /// Counts an execution with its number of steps.
  mutating func count(steps: Int) {
    counts.executions += 1
    counts.steps += steps
    stepsTaken += steps
  }

  /// Keeps the length of the longest execution, and in how many orders its steps could be put.
  ///
  /// - Parameter steps: the number of steps of each actor.
  mutating func measure(_ depth: Int, steps: UnsafeBufferPointer<UInt16>) {
    if depth < counts.deepest { return }
    var numbers = Clock()
    for actor in steps.indices { numbers[actor] = steps[actor] }
    // Most executions have the same steps.
    if depth == counts.deepest, numbers == measured { return }
    measured = numbers
    // In a fixed order, so that the sum is the same for the same numbers of steps.
    var sum = 0
    var logarithm = 0.0
    for count in steps.map({ Int($0) }).sorted() {
      sum += count
      logarithm -= Self.logarithm(ofFactorial: count)
    }
    logarithm += Self.logarithm(ofFactorial: sum)
    counts.orders = depth > counts.deepest ? logarithm : max(counts.orders, logarithm)
    counts.deepest = depth
  }

  private static func logarithm(ofFactorial number: Int) -> Double {
    var sign: Int32 = 0
    return lgamma_r(Double(number + 1), &sign) / log(10)
  }

  // MARK: Findings

  /// Counts a flaw; returns whether it is the first of its name.
  mutating func isFirst(_ flaw: Flaw) -> Bool {
    occurrences[flaw.name, default: 0] += 1
    return !findings.contains { $0.name == flaw.name }
  }

  /// The number of a choice by its name.
  mutating func choiceNumber(_ name: String) -> Int {
    if let known = choiceNames.firstIndex(of: name) { return known }
    choiceNames.append(name)
    return choiceNames.count - 1
  }

  /// Keeps a finding.
  mutating func keep(_ finding: Finding) { findings.append(finding) }

  // MARK: The path

  /// Goes back to the last decision that has something left; false if there is none.
  mutating func advance(from depth: Int) -> Bool {
    var place = depth
    while place > sharedPath.count {
      place -= 1
      let branch = branches + place
      if branch.pointee.values > 0 {
        if branch.pointee.chosen + 1 < branch.pointee.values {
          branch.pointee.chosen += 1
          return goBack(to: place)
        }
        continue
      }
      branch.pointee.done |= only(Int(branch.pointee.chosen))
      let left = branch.pointee.wanted & ~branch.pointee.done & ~branch.pointee.sleep
      if left != 0 {
        branch.pointee.chosen = UInt8(left.first)
        return goBack(to: place)
      }
    }
    prefix = 0
    guard let sharing, sharing.goOn(&self) else { return false }
    return goBack(to: sharedPath.count - 1)
  }

  private mutating func goBack(to place: Int) -> Bool {
    prefix = place + 1
    forget(from: place)
    return true
  }

  /// What is known of the events from a place on is out of date.
  private mutating func forget(from place: Int) {
    known = place
    seen.forgetTraces(from: place)
  }

  /// Begins a path with the decisions of a checkpoint.
  mutating func take(_ path: [Branch]) {
    for (place, branch) in path.enumerated() { branches[place] = branch }
    prefix = path.count
    // The order of the events is computed again.
    forget(from: 0)
  }

  /// Takes over what was counted and found before a checkpoint.
  mutating func resumeCounts(_ checkpoint: Checkpoint) {
    counts = checkpoint.counts
    findings = checkpoint.findings
    occurrences = checkpoint.occurrences
    isCut = checkpoint.isCut
  }

  /// The decisions that the next execution takes over, for a checkpoint.
  var path: Checkpoint.Path {
    let path = (0..<prefix).map { branches[$0] }
    return Checkpoint.Path(
      branches: path, claimed: path.map { UInt16(truncatingIfNeeded: $0.claimed) })
  }

  // MARK: Decisions that other workers share

  /// Begins a path up to its last decision, which belongs to this worker now.
  mutating func take(_ path: [SharedBranch], last: Branch?) {
    var branches = path.map(\.branch)
    for (index, shared) in path.enumerated() {
      branches[index].wanted = shared.wanted
      if index + 1 < path.count { branches[index].chosen = path[index + 1].choice }
    }
    if let last { branches[path.count - 1] = last }
    sharedPath = path
    take(branches)
  }

  /// Leaves the last shared decision; all of it is done.
  mutating func leaveShared() { sharedPath.removeLast() }

  /// Begins the last shared decision again, with another choice.
  mutating func takeShared(_ branch: Branch) { branches[sharedPath.count - 1] = branch }

  /// Shares the decisions of the path up to one at which something is left; `path` has them all.
  mutating func shareUp(to path: [SharedBranch]) { sharedPath = path }

  /// The first decision of this worker alone at which something is left besides what it does now.
  var firstLeft: Int? {
    (sharedPath.count..<max(prefix, sharedPath.count)).first { place in
      let branch = branches[place]
      if branch.values > 0 { return branch.chosen + 1 < branch.values }
      return branch.wanted & ~branch.done & ~branch.sleep & ~only(Int(branch.chosen)) != 0
    }
  }
}

/// States and traces that a search has met, each with the fewest interruptions before it.
struct SeenStates {
  /// The number of traces that are kept; what comes after them is not merged.
  private static let most = 1 << 22

  private var fewest: [UInt64: UInt16] = [:]
  /// For each number of steps the hash of the trace so far.
  private var sums: [UInt64] = []
  private var summed = 0

  /// Keeps a state; returns whether it is worth going on from, and whether it was not met before.
  mutating func keepState(_ key: UInt64, preemptions: Int) -> (isOpen: Bool, isNew: Bool) {
    if let fewest = fewest[key], fewest <= preemptions { return (false, false) }
    return (true, fewest.updateValue(UInt16(truncatingIfNeeded: preemptions), forKey: key) == nil)
  }

  /// Keeps a trace, as long as there are not too many; returns the same as `keepState`.
  mutating func keepTrace(_ key: UInt64, preemptions: Int) -> (isOpen: Bool, isNew: Bool) {
    if fewest[key] == nil, fewest.count >= Self.most { return (true, false) }
    return keepState(key, preemptions: preemptions)
  }

  /// The hash of the trace of the first `depth` events, of at most `limit`.
  mutating func traceHash(_ events: UnsafeMutablePointer<Event>, _ depth: Int, limit: Int) -> UInt64 {
    if sums.isEmpty { sums = Array(repeating: 0, count: limit + 1) }
    while summed < depth {
      sums[summed + 1] = sums[summed] &+ events[summed].traceHash
      summed += 1
    }
    return sums[depth]
  }

  /// The traces from a step on are no longer those of the present path.
  mutating func forgetTraces(from step: Int) { summed = min(summed, step) }
}
