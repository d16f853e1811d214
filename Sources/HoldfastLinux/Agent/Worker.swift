import CLinux
import Glibc
import HoldfastScenario
import Synchronization
import SystemPackage

/// An actor's process: takes requests from the coordinator, does the steps, and answers.
///
/// It begins as a fork of the coordinator, so it knows the scenario. Threads of the process serve the actors
/// that say `thread-of`.
final class Worker: @unchecked Sendable {
  // Sendable: everything is set before the threads begin, but for `held`, which is behind a lock, and what a
  // fork's child changes while it has one thread.

  let scenario: Scenario
  let reach: LinuxRunner.Reach
  /// The ends of all actors' sockets; a child of a fork takes its own.
  private let ends: [String: FileDescriptor]
  /// Whose process this is.
  private(set) var process = ""
  /// What the process holds under names, and what it holds until it ends.
  let held = Mutex(Held())
  /// Where a guest's disk is mounted: regions of kind `file` are mappings of files on it.
  static let fileFolder = "/disk"

  /// Pins, references and devices that the process keeps open.
  struct Held {
    /// By name; a repeated step takes more under the same name.
    var pins: [String: [HeldPin]] = [:]
    var forever: [HeldPin] = []
    var vfio: VFIOSession?
    var mirror: MirrorSession?
    /// Where the next region goes: far below where the kernel looks for room, which would fill the holes that a
    /// scenario makes with the stacks and rings of this program.
    var nextAddress: UInt64 = 1 << 40
    /// Allocations that fail in the next step of an actor.
    var failures: [String: Int] = [:]
  }

  init(_ scenario: Scenario, reach: LinuxRunner.Reach, ends: [String: FileDescriptor]) {
    self.scenario = scenario
    self.reach = reach
    self.ends = ends
  }

  /// Serves the actor of a new process, and the threads of that process, until it exits.
  func serve(_ actor: Scenario.Actor) -> Never {
    setUp(actor)
    serve(child: actor)
  }

  /// Serves the child of a fork, which has the memory, the descriptors and the limits of its parent, and none of its
  /// threads.
  func serve(child actor: Scenario.Actor) -> Never {
    process = actor.name
    for thread in scenario.actors where thread.sharing == actor.name { start(thread) }
    loop(actor)
    _exit(0)
  }

  private func setUp(_ actor: Scenario.Actor) {
    // A signal to end interrupts what the actor waits in; the default would end the process.
    try? ProcessCalls.interruptCalls(on: [SIGTERM])
    signal(SIGINT, SIG_IGN)
    signal(SIGPIPE, SIG_IGN)
    // Children of a fork belong to the scenario; they are not waited for here.
    signal(SIGCHLD, SIG_IGN)
    try? MemoryCalls.setLockLimit(actor.memlock.bytes)
    try? MemoryCalls.useLockCapability(actor.mayLockMemory)
    pin(to: actor.cpu)
  }

  private func pin(to cpu: Int) {
    // A machine with fewer CPUs than the scenario asks for has them all share.
    _ = hf_run_on(Int32(cpu % max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
  }

  private func start(_ actor: Scenario.Actor) {
    final class Start {
      let worker: Worker
      let actor: Scenario.Actor
      init(_ worker: Worker, _ actor: Scenario.Actor) {
        self.worker = worker
        self.actor = actor
      }
    }
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(self, actor))
    let result = pthread_create(
      &thread, nil,
      { pointer in
        guard let pointer else { return nil }
        let start = Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue()
        // Capabilities and affinity belong to threads.
        try? MemoryCalls.useLockCapability(
          start.worker.scenario.actor(named: start.worker.process)?.mayLockMemory ?? false)
        start.worker.pin(to: start.actor.cpu)
        start.worker.loop(start.actor)
        return nil
      }, start.toOpaque())
    if result == 0 { pthread_detach(thread) } else { start.release() }
  }

  private func loop(_ actor: Scenario.Actor) {
    guard let end = ends[actor.name] else { return }
    let channel = MessageChannel(end)
    while true {
      do {
        guard let line = try channel.line(within: nil) else { continue }
        let request = try WorkerRequest(line: line)
        let reply = answer(request, actor)
        try channel.send(reply)
      } catch {
        // The coordinator has gone, and with it the run.
        return
      }
    }
  }

  private func answer(_ request: WorkerRequest, _ actor: Scenario.Actor) -> WorkerReply {
    switch request.task {
    case .step(let number):
      let operations = StepInWorker(worker: self, actor: actor, regions: request.regions)
      let result = operations.perform(actor.steps[number], by: actor)
      return WorkerReply(result: result, changes: operations.changes)
    case .digests(let name, let offset, let pages):
      return WorkerReply(digests: digests(request.regions[name], offset, pages))
    case .counts(let name, let offset, let pages):
      return counts(request.regions[name], offset, pages)
    }
  }

  private func digests(_ region: PlacedRegion?, _ offset: UInt64, _ pages: Int) -> [UInt64?] {
    guard let (address, count) = region?.part(offset: offset, pages: pages) else { return [] }
    return (0..<count).map { page in
      try? GuardedMemory.digest(address + UInt64(page) << 12, byteCount: 4096)
    }
  }

  private func counts(_ region: PlacedRegion?, _ offset: UInt64, _ pages: Int) -> WorkerReply {
    guard let (address, count) = region?.part(offset: offset, pages: pages) else { return WorkerReply() }
    do throws(Errno) {
      let found = try (0..<count).map { page throws(Errno) in
        PageDumps.counts(in: try PageDumps.take(address + UInt64(page) << 12))
      }
      return WorkerReply(counts: found)
    } catch {
      return WorkerReply(result: StepResult(.skipped("gup_test: \(error)")))
    }
  }
}
