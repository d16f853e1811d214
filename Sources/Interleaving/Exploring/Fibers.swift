import CLinux

/// The fibers of a search: one for each actor, and the place of the caller that runs the search.
///
/// A fiber runs on from one execution to the next. It is prepared anew only after a deadlock, a livelock or a trap,
/// when its actor cannot be brought to its end.
struct Fibers: ~Copyable {
  private static let stackSize = 512 << 10

  /// What a fiber needs to begin.
  private struct Entry {
    let explorer: Unmanaged<Explorer>
    let actor: Int
  }

  /// The number of actors; the caller's place comes after theirs.
  private let count: Int
  private let stacks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let resumes: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let heldLocks: UnsafeMutablePointer<hf_held_locks>
  private let entries: UnsafeMutablePointer<Entry>
  private var trapSignal: Int32 = 0
  /// Whether an actor has trapped in the current execution.
  private(set) var hasTrapped = false

  /// Fibers with stacks; `prepareAll` must follow.
  ///
  /// - Throws: `ExplorationError` if the host has no memory for the stacks.
  init(actors: Int) throws(ExplorationError) {
    count = actors
    let places = actors + 1
    stacks = .allocate(capacity: places)
    stacks.initialize(repeating: nil, count: places)
    resumes = .allocate(capacity: places)
    resumes.initialize(repeating: nil, count: places)
    heldLocks = .allocate(capacity: places)
    heldLocks.initialize(repeating: hf_held_locks(), count: places)
    entries = .allocate(capacity: places)
    for actor in 0..<actors {
      let result = hf_fiber_map_stack(stacks + actor, Self.stackSize)
      guard result == 0 else {
        deallocate()
        throw ExplorationError("stack of actor \(actor): errno \(-result), expected memory from the host")
      }
    }
  }

  func deallocate() {
    for actor in 0..<count {
      if let stack = stacks[actor] { _ = hf_fiber_unmap_stack(stack, Self.stackSize) }
    }
    stacks.deallocate()
    resumes.deallocate()
    heldLocks.deallocate()
    entries.deallocate()
  }

  /// Prepares the fibers of all actors of an explorer, which owns them.
  func prepareAll(of explorer: Explorer) {
    for actor in 0..<count {
      entries[actor] = Entry(explorer: Unmanaged.passUnretained(explorer), actor: actor)
      prepare(actor)
    }
  }

  /// Makes a fiber begin anew, and gives up what it was doing.
  func prepare(_ actor: Int) {
    guard let stack = stacks[actor] else { return }
    resumes[actor] = hf_fiber_prepare(
      stack, Self.stackSize,
      { context in
        guard let entry = context?.assumingMemoryBound(to: Entry.self).pointee else { return }
        entry.explorer._withUnsafeGuaranteedRef { $0.runForever(entry.actor) }
      }, entries + actor)
  }

  /// Begins an execution: no actor holds a lock, and none has trapped.
  mutating func begin() {
    for actor in 0..<count { LockOrder.forgetAll(heldLocks + actor) }
    hasTrapped = false
  }

  /// Leaves the fiber of an actor for that of another one.
  @inline(__always)
  func go(from actor: Int, to other: Int) {
    hf_set_held_locks(heldLocks + other)
    hf_fiber_switch(resumes + actor, resumes[other])
  }

  /// Leaves the caller for the fiber of an actor.
  @inline(__always)
  func goIn(to actor: Int) { go(from: count, to: actor) }

  /// Leaves the fiber of an actor for the caller.
  func goHome(from actor: Int) {
    hf_set_held_locks(nil)
    hf_fiber_switch(resumes + actor, resumes[count])
  }

  /// The part of an actor's stack that is in use; the actor does not run.
  func liveStack(of actor: Int) -> UnsafeRawBufferPointer? {
    guard let stack = stacks[actor], let top = resumes[actor] else { return nil }
    return UnsafeRawBufferPointer(start: top, count: stack + Self.stackSize - top)
  }

  /// Keeps the signal of the running actor's trap.
  mutating func noteTrap(_ signal: Int32) {
    trapSignal = signal
    hasTrapped = true
  }

  /// What the last trap was.
  var trapName: String {
    switch trapSignal {
    case 4, 5: "a failed check of the program"
    case 6: "abort"
    case 7, 11: "access to memory that is not there, or no stack left"
    case 8: "arithmetic"
    default: "signal \(trapSignal)"
    }
  }
}
