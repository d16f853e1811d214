import Glibc
import Synchronization

/// A decision of a depth-first search that several workers have on their paths.
final class SharedNode {
  /// Kept by whoever has this decision on its path; a chain of owners would be let go recursively.
  unowned let parent: SharedNode?
  /// What is chosen at the parent to come here.
  let choice: UInt8
  let depth: Int
  /// What does not change: who could go on, who sleeps, how many values there are.
  let node: Node
  var wanted: ProcessSet
  /// Who was chosen by anybody, those under way too; at a choice, how many values were.
  var claimed: Int
  /// Paths that it is on.
  var users = 0

  init(_ node: Node, wanted: ProcessSet, claimed: Int, after parent: SharedNode?, by choice: UInt8) {
    self.node = node
    self.wanted = wanted
    self.claimed = claimed
    self.parent = parent
    self.choice = choice
    depth = parent.map { $0.depth + 1 } ?? 0
  }

  /// Whether something is to be done here that nobody has begun.
  var isOpen: Bool { node.values > 0 ? claimed < Int(node.values) : left != 0 }

  private var left: ProcessSet { wanted & ~ProcessSet(truncatingIfNeeded: claimed) & ~node.sleep }

  /// Takes what is to be done next, for one worker; there is something.
  func claim() -> Node {
    var mine = node
    mine.wanted = wanted
    if node.values > 0 {
      mine.chosen = UInt8(claimed)
      claimed += 1
    } else {
      mine.chosen = UInt8(left.first)
      // Whoever was chosen earlier is asleep in what follows, as if it were done.
      mine.done = ProcessSet(truncatingIfNeeded: claimed)
      claimed |= 1 << Int(mine.chosen)
    }
    return mine
  }

  /// The decisions from the first one to this.
  var path: [SharedNode] {
    var path: [SharedNode] = []
    var next: SharedNode? = self
    while let node = next {
      path.append(node)
      next = node.parent
    }
    return path.reversed()
  }
}

/// What the workers of one search share: decisions at which more than one of them has something to do, and limits.
///
/// Every choice at a shared decision is taken by one worker only, which explores all that follows from it. What it
/// finds to be wanted at a shared decision is noted there, for itself or anybody else who has nothing to do. So the
/// workers go through the tree that one of them would go through alone, if it took the choices in the order in which
/// they are taken.
final class SharedSearch: @unchecked Sendable {
  // Sendable: what changes is atomic or behind the mutex, and so are the shared nodes but for their constants.

  /// A path that was begun in an earlier run, up to a choice that is still to be followed.
  private struct Task {
    var path: [SharedNode]
    var last: Node?
  }

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let workers: Int
  private let limit: Int
  private let taken: Atomic<Int>
  private let waiting = Atomic(0)
  private let stopped = Atomic(false)

  // Under the mutex.
  private var nodes: [ObjectIdentifier: SharedNode] = [:]
  private var tasks: [Task] = []
  private var hasEnded = false
  private var end: ExplorationEnd?
  private var pace: Int?

  /// A search by so many workers, from its beginning or from where a checkpoint stands.
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
    var known: [[UInt8]: SharedNode] = [:]
    for saved in checkpoint.paths {
      var path: [SharedNode] = []
      var key: [UInt8] = []
      for (node, claimed) in zip(saved.nodes, saved.claimed) {
        let shared =
          known[key]
          ?? SharedNode(
            node, wanted: 0, claimed: 0, after: path.last, by: key.last ?? 0)
        known[key] = shared
        shared.wanted |= node.wanted
        shared.claimed = node.values > 0 ? max(shared.claimed, Int(claimed)) : shared.claimed | Int(claimed)
        path.append(shared)
        key.append(node.chosen)
      }
      retain(path)
      tasks.append(Task(path: path, last: saved.nodes.last))
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

  private func retain(_ path: [SharedNode]) {
    for node in path {
      node.users += 1
      nodes[ObjectIdentifier(node)] = node
    }
  }

  private func release(_ node: SharedNode) {
    node.users -= 1
    if node.users == 0 { nodes[ObjectIdentifier(node)] = nil }
  }

  // MARK: Limits

  /// The number of the next execution, from 1; nil if there is to be none.
  func takeExecution() -> Int? {
    let number = taken.add(1, ordering: .relaxed).newValue
    if number <= limit { return number }
    taken.subtract(1, ordering: .relaxed)
    return nil
  }

  /// Ends the search for all.
  func stop(_ end: ExplorationEnd?) {
    locked {
      if self.end == nil { self.end = end }
      hasEnded = true
      pthread_cond_broadcast(condition)
    }
    stopped.store(true, ordering: .relaxed)
  }

  var isStopped: Bool { stopped.load(ordering: .relaxed) }

  /// Why the search was ended, unless nothing was left.
  var reason: ExplorationEnd? { locked { end } }

  /// Executions begun by all, in earlier runs too.
  var executions: Int { taken.load(ordering: .relaxed) }

  // MARK: The length of the first execution

  /// Tells the others how long the first execution was.
  func publish(_ length: Int) {
    locked {
      pace = length
      pthread_cond_broadcast(condition)
    }
  }

  /// Waits until the length of the first execution is known; nil if it never will be.
  func awaitPace() -> Int? {
    locked {
      while pace == nil, !hasEnded { pthread_cond_wait(condition, mutex) }
      return pace
    }
  }

  // MARK: Work

  /// Whether somebody has nothing to do.
  var isHungry: Bool { waiting.load(ordering: .relaxed) > 0 }

  /// Finds something to do for a worker that has nothing left; false if nothing is left for anybody.
  func feed(_ explorer: Explorer) -> Bool {
    locked {
      waiting.add(1, ordering: .relaxed)
      defer { waiting.subtract(1, ordering: .relaxed) }
      while !hasEnded {
        if let task = tasks.popLast() {
          explorer.take(task.path, last: task.last)
          return true
        }
        let open = nodes.values.filter(\.isOpen).min { $0.depth < $1.depth }
        if let open {
          let path = open.path
          retain(path)
          explorer.take(path, last: open.claim())
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

  /// Takes the next thing at the shared decisions of a worker's path, from the last one backwards, and leaves those
  /// that have none.
  func goOn(_ explorer: Explorer) -> Bool {
    locked {
      while let last = explorer.sharedPath.last {
        if last.isOpen {
          explorer.nodes[last.depth] = last.claim()
          return true
        }
        explorer.sharedPath.removeLast()
        release(last)
      }
      return false
    }
  }

  /// Makes the first decision of a worker at which something is left known to all, with those before it.
  func share(_ explorer: Explorer) {
    guard let place = explorer.firstLeft() else { return }
    locked {
      var path = explorer.sharedPath
      for index in path.count...place {
        let node = explorer.nodes[index]
        path.append(
          SharedNode(
            node, wanted: node.wanted, claimed: node.claimed, after: path.last,
            by: index > 0 ? explorer.nodes[index - 1].chosen : 0))
      }
      retain(Array(path[explorer.sharedPath.count...]))
      explorer.sharedPath = path
      pthread_cond_signal(condition)
    }
  }

  /// Does something about a shared decision, and tells those who wait if more is wanted there now.
  func update(_ shared: SharedNode, _ node: UnsafeMutablePointer<Node>, _ body: () -> Void) {
    locked {
      node.pointee.wanted = shared.wanted
      body()
      if node.pointee.wanted != shared.wanted {
        shared.wanted = node.pointee.wanted
        pthread_cond_signal(condition)
      }
    }
  }

  // MARK: Where it stands

  /// Paths that nobody has taken up.
  var remaining: [Checkpoint.Path] {
    locked { tasks.reversed().map { Self.saved($0.path, last: $0.last) } }
  }

  /// A path as it is to be kept.
  static func saved(_ path: [SharedNode], last: Node?) -> Checkpoint.Path {
    var saved = Checkpoint.Path()
    for (index, shared) in path.enumerated() {
      var node = shared.node
      if index + 1 < path.count {
        node.chosen = path[index + 1].choice
      } else if let last {
        node = last
      }
      node.wanted = shared.wanted
      saved.nodes.append(node)
      saved.claimed.append(UInt16(truncatingIfNeeded: shared.claimed))
    }
    return saved
  }

  /// The path of a worker that was ended.
  func saved(_ explorer: Explorer) -> Checkpoint.Path {
    locked {
      var saved = Checkpoint.Path()
      for index in 0..<explorer.prefix {
        var node = explorer.nodes[index]
        var claimed = node.claimed
        if index < explorer.sharedPath.count {
          let shared = explorer.sharedPath[index]
          node.wanted = shared.wanted
          claimed = shared.claimed
        }
        saved.nodes.append(node)
        saved.claimed.append(UInt16(truncatingIfNeeded: claimed))
      }
      return saved
    }
  }
}

extension Node {
  /// Who was chosen, the one under way too; at a choice, how many values were.
  var claimed: Int { values > 0 ? Int(chosen) + 1 : Int(done | only(Int(chosen))) }
}

/// What a worker does about decisions that others share.
extension Explorer {
  /// Sets out on a path up to its last choice, which is this worker's now.
  func take(_ path: [SharedNode], last: Node?) {
    for (index, shared) in path.enumerated() {
      nodes[index] = shared.node
      nodes[index].wanted = shared.wanted
      if index + 1 < path.count { nodes[index].chosen = path[index + 1].choice }
    }
    if let last { nodes[path.count - 1] = last }
    sharedPath = path
    prefix = path.count
    // The order of the events is worked out anew.
    forget(from: 0)
  }

  /// Sees to it that a step is also taken before one at a decision that others share.
  @inline(never)
  func reverseForAll(_ place: Int, _ index: Int, _ process: Int, _ before: Clock) {
    guard let sharing else { return }
    sharing.update(sharedPath[place], nodes + place) { reverse(place, index, process, before) }
  }

  /// The first decision of this worker alone at which something is left besides what it does now.
  func firstLeft() -> Int? {
    (sharedPath.count..<max(prefix, sharedPath.count)).first { place in
      let node = nodes[place]
      if node.values > 0 { return node.chosen + 1 < node.values }
      return node.wanted & ~node.done & ~node.sleep & ~only(Int(node.chosen)) != 0
    }
  }
}
