import Glibc
import Synchronization

/// A decision of a depth-first search that several workers have on their paths.
final class SharedBranch {
  /// Kept alive by the workers that have this decision on their paths; a chain of owners would be released
  /// recursively.
  unowned let parent: SharedBranch?
  /// What is chosen at the parent to come here.
  let choice: UInt8
  let depth: Int
  /// The constants of the decision: the processes that could run, those that sleep, the number of values.
  let branch: Branch
  var wanted: ProcessSet
  /// The processes that any worker has chosen, including those under way; for a choice, the number of values.
  var claimed: Int
  /// The number of paths that it is on.
  var users = 0

  init(_ branch: Branch, wanted: ProcessSet, claimed: Int, after parent: SharedBranch?, by choice: UInt8) {
    self.branch = branch
    self.wanted = wanted
    self.claimed = claimed
    self.parent = parent
    self.choice = choice
    depth = parent.map { $0.depth + 1 } ?? 0
  }

  /// Whether there is something to do here that no worker has begun.
  var isOpen: Bool { branch.values > 0 ? claimed < Int(branch.values) : left != 0 }

  private var left: ProcessSet { wanted & ~ProcessSet(truncatingIfNeeded: claimed) & ~branch.sleep }

  /// Takes what is to be done next, for one worker; the decision is open.
  func claim() -> Branch {
    var mine = branch
    mine.wanted = wanted
    if branch.values > 0 {
      mine.chosen = UInt8(claimed)
      claimed += 1
    } else {
      mine.chosen = UInt8(left.first)
      // A process that was chosen earlier is asleep in what follows, as if it were done.
      mine.done = ProcessSet(truncatingIfNeeded: claimed)
      claimed |= 1 << Int(mine.chosen)
    }
    return mine
  }

  /// The decisions from the first one to this.
  var path: [SharedBranch] {
    var path: [SharedBranch] = []
    var next: SharedBranch? = self
    while let branch = next {
      path.append(branch)
      next = branch.parent
    }
    return path.reversed()
  }
}

/// What the workers of one search share: decisions at which more than one of them has something to do, and limits.
///
/// Every choice at a shared decision is taken by one worker only, which explores all that follows from it. If a
/// worker finds that more is wanted at a shared decision, it notes that there, for itself or for an idle worker.
/// So the workers go through the same tree as a single worker that takes the choices in the same order.
final class SharedSearch: @unchecked Sendable {
  // Sendable: what changes is atomic or protected by the mutex, and so are the shared branches but for their
  // constants.

  /// A path that was begun in an earlier run, up to a choice that is still to be followed.
  private struct Task {
    var path: [SharedBranch]
    var last: Branch?
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let workers: Int
  private let limit: Int
  private let taken: Atomic<Int>
  private let waiting = Atomic(0)
  private let stopped = Atomic(false)

  // Protected by the mutex.
  private var branches: [ObjectIdentifier: SharedBranch] = [:]
  private var tasks: [Task] = []
  private var hasEnded = false
  private var end: ExplorationEnd?
  private var pace: Int?

  /// A search by a number of workers, from its beginning or from a checkpoint.
  init(workers: Int, executions: Int, from checkpoint: Checkpoint?) {
    self.workers = workers
    limit = executions
    taken = Atomic(checkpoint?.counts.executions ?? 0)
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
    guard let checkpoint else {
      tasks = [Task(path: [], last: nil)]
      return
    }
    if let known = checkpoint.longest { pace = known }
    var known: [[UInt8]: SharedBranch] = [:]
    for saved in checkpoint.paths {
      var path: [SharedBranch] = []
      var key: [UInt8] = []
      for (branch, claimed) in zip(saved.branches, saved.claimed) {
        let shared =
          known[key]
          ?? SharedBranch(
            branch, wanted: 0, claimed: 0, after: path.last, by: key.last ?? 0)
        known[key] = shared
        shared.wanted |= branch.wanted
        shared.claimed =
          branch.values > 0 ? max(shared.claimed, Int(claimed)) : shared.claimed | Int(claimed)
        path.append(shared)
        key.append(branch.chosen)
      }
      retain(path)
      tasks.append(Task(path: path, last: saved.branches.last))
    }
    // Taken from the end.
    tasks.reverse()
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  private func retain(_ path: [SharedBranch]) {
    for branch in path {
      branch.users += 1
      branches[ObjectIdentifier(branch)] = branch
    }
  }

  private func release(_ branch: SharedBranch) {
    branch.users -= 1
    if branch.users == 0 { branches[ObjectIdentifier(branch)] = nil }
  }

  // MARK: Limits

  /// The number of the next execution, from 1; nil after the last one.
  func takeExecution() -> Int? {
    let number = taken.add(1, ordering: .relaxed).newValue
    if number <= limit { return number }
    taken.subtract(1, ordering: .relaxed)
    return nil
  }

  /// Ends the search for all workers.
  func stop(_ end: ExplorationEnd?) {
    locked {
      if self.end == nil { self.end = end }
      hasEnded = true
      pthread_cond_broadcast(condition)
    }
    stopped.store(true, ordering: .relaxed)
  }

  var isStopped: Bool { stopped.load(ordering: .relaxed) }

  /// Why the search was ended; nil if it came to its own end.
  var reason: ExplorationEnd? { locked { end } }

  // MARK: The length of the first execution

  /// Tells the other workers how long the first execution was.
  func publish(_ length: Int) {
    locked {
      pace = length
      pthread_cond_broadcast(condition)
    }
  }

  /// Waits until the length of the first execution is known; nil if the search ends before that.
  func awaitPace() -> Int? {
    locked {
      while pace == nil, !hasEnded { pthread_cond_wait(condition, mutex) }
      return pace
    }
  }

  // MARK: Work

  /// Whether a worker is idle.
  var isHungry: Bool { waiting.load(ordering: .relaxed) > 0 }

  /// Finds something to do for an idle worker; false if nothing is left for any worker.
  func feed(_ search: inout Search) -> Bool {
    locked {
      waiting.add(1, ordering: .relaxed)
      defer { waiting.subtract(1, ordering: .relaxed) }
      while !hasEnded {
        if let task = tasks.popLast() {
          search.take(task.path, last: task.last)
          return true
        }
        let open = branches.values.filter(\.isOpen).min { $0.depth < $1.depth }
        if let open {
          let path = open.path
          retain(path)
          search.take(path, last: open.claim())
          return true
        }
        if waiting.load(ordering: .relaxed) == workers {
          hasEnded = true
          pthread_cond_broadcast(condition)
          return false
        }
        pthread_cond_wait(condition, mutex)
      }
      return false
    }
  }

  /// Takes the next thing to do at the shared decisions of a worker's path, from the last one backwards; the worker
  /// leaves decisions that are done.
  func goOn(_ search: inout Search) -> Bool {
    locked {
      while let last = search.sharedPath.last {
        if last.isOpen {
          search.takeShared(last.claim())
          return true
        }
        search.leaveShared()
        release(last)
      }
      return false
    }
  }

  /// Shares the first decision of a worker at which something is left, and all decisions before it.
  func share(_ search: inout Search) {
    guard let place = search.firstLeft else { return }
    locked {
      var path = search.sharedPath
      let shared = path.count
      for index in shared...place {
        let branch = search.branches[index]
        path.append(
          SharedBranch(
            branch, wanted: branch.wanted, claimed: branch.claimed, after: path.last,
            by: index > 0 ? search.branches[index - 1].chosen : 0))
      }
      retain(Array(path[shared...]))
      search.shareUp(to: path)
      pthread_cond_signal(condition)
    }
  }

  /// Runs `body`, which may want more at a shared decision, and wakes an idle worker if it does.
  func update(_ shared: SharedBranch, _ branch: UnsafeMutablePointer<Branch>, _ body: () -> Void) {
    locked {
      branch.pointee.wanted = shared.wanted
      body()
      if branch.pointee.wanted != shared.wanted {
        shared.wanted = branch.pointee.wanted
        pthread_cond_signal(condition)
      }
    }
  }

  // MARK: Checkpoints

  /// The paths that no worker has begun.
  var remaining: [Checkpoint.Path] {
    locked { tasks.reversed().map { Self.saved($0.path, last: $0.last) } }
  }

  private static func saved(_ path: [SharedBranch], last: Branch?) -> Checkpoint.Path {
    var saved = Checkpoint.Path()
    for (index, shared) in path.enumerated() {
      var branch = shared.branch
      if index + 1 < path.count {
        branch.chosen = path[index + 1].choice
      } else if let last {
        branch = last
      }
      branch.wanted = shared.wanted
      saved.branches.append(branch)
      saved.claimed.append(UInt16(truncatingIfNeeded: shared.claimed))
    }
    return saved
  }

  /// The path of a worker that was ended.
  func saved(_ search: borrowing Search) -> Checkpoint.Path {
    locked {
      var saved = search.path
      for (index, shared) in search.sharedPath.enumerated() where index < saved.branches.count {
        saved.branches[index].wanted = shared.wanted
        saved.claimed[index] = UInt16(truncatingIfNeeded: shared.claimed)
      }
      return saved
    }
  }
}
