import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// The processes and threads that the actors are.
extension LinuxRun {
  /// Makes a process for every actor that begins with one of its own.
  func startWorkers() throws(LinuxRunFailure) {
    for actor in scenario.actors {
      let ends: (ours: Int32, theirs: Int32)
      do throws(GuestError) { ends = try LineChannel.pair() } catch {
        throw LinuxRunFailure("actor \(actor.name): \(error)")
      }
      players.append(
        Player(
          actor: actor, channel: MessageChannel(FileDescriptor(rawValue: ends.ours)),
          far: FileDescriptor(rawValue: ends.theirs), exists: actor.forkOf == nil))
    }
    for actor in scenario.actors where actor.sharing == nil && actor.forkOf == nil {
      let process = Int32(clamping: hf_fork())
      if process < 0 {
        throw LinuxRunFailure("no process for actor \(actor.name): \(Errno(rawValue: -process))")
      }
      if process == 0 {
        // The child never comes back: it serves its actor until it is told to end.
        for player in players { player.channel.disown() }
        var ends: [String: FileDescriptor] = [:]
        for player in players { ends[player.actor.name] = player.far }
        Worker(scenario, reach: reach, ends: ends).serve(actor)
      }
      for index in players.indices where players[index].actor.process == actor.name {
        players[index].process = process
      }
    }
  }

  /// Ends every process that is still there.
  func endWorkers() {
    let left = Set(players.compactMap(\.process))
    for process in left { _ = hf_kill(process, SIGKILL) }
    for process in left { reap(process) }
    for player in players { try? player.far.close() }
  }

  /// Waits for a process that ends; a grandchild is reaped by the kernel, which its parent has asked for.
  func reap(_ process: Int32) {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    // Rings are torn down behind the back of their process's end, and their pins with them.
    hf_sleep_microseconds(200_000)
  }

  /// Whether a process has ended.
  ///
  /// Its socket does not tell, because others have the same descriptor.
  func hasEnded(_ process: Int32) -> Bool {
    var status: Int32 = 0
    if waitpid(process, &status, WNOHANG) == process { return true }
    return hf_kill(process, 0) == -Int64(ESRCH)
  }

  /// Does a step that the coordinator does itself; nil for the others.
  func performHere(_ step: Step) -> StepResult? {
    switch step.verb {
    case .signal(let name, let word): repeating(step) { () throws(StepStop) in try signal(name, word) }
    case .add(let blocks, let node):
      repeating(step) { () throws(StepStop) in try add(blocks: blocks, node: node) }
    case .remove(let selection): repeating(step) { () throws(StepStop) in try remove(selection) }
    default: nil
    }
  }

  private func repeating(_ step: Step, _ round: () throws(StepStop) -> StepResult) -> StepResult {
    StepResult.repeating(step.repeats) {
      do throws(StepStop) { return try round() } catch { return StepResult(error) }
    }
  }

  private func signal(_ name: String, _ word: SignalWord) throws(StepStop) -> StepResult {
    guard let index = players.firstIndex(where: { $0.actor.name == name }),
      let process = players[index].process
    else { throw .failed(.ESRCH, .argument, "the process of \(name) has ended") }
    if word == .kill {
      for other in players.indices where players[other].process == process { players[other].killed = true }
    }
    let result = hf_kill(process, word == .kill ? SIGKILL : SIGTERM)
    guard result >= 0 else { throw .failed(Errno(rawValue: Int32(-result)), "kill") }
    return StepResult()
  }

  private func add(blocks: Int, node: Int) throws(StepStop) -> StepResult {
    guard let monitor else { throw .skipped("only a guest's machine can be given memory") }
    let before = Set(((try? KernelMap()) ?? kernel).blocks.map(\.index))
    // A module for each block, so that each can be taken out again by itself.
    for _ in 0..<blocks {
      if case .failed(let why) = monitor(.addMemory(bytes: UInt64(kernel.blockPages) << 12, node: node)) {
        throw .failed(.ioError, why)
      }
    }
    // The guest's firmware tells the kernel, which takes a moment.
    for _ in 0..<100 {
      if let now = try? KernelMap(), now.blocks.count(where: { !before.contains($0.index) }) >= blocks {
        break
      }
      hf_sleep_microseconds(100_000)
    }
    let added = ((try? KernelMap())?.blocks ?? []).count { !before.contains($0.index) }
    let result = StepResult(
      requested: Int64(blocks * kernel.blockPages), pages: Int64(added * kernel.blockPages),
      blocks: Int64(added))
    guard added >= blocks else {
      throw .failed(
        Errno(rawValue: ENODEV), "the kernel shows \(added) of \(blocks) new blocks after 10 s", result)
    }
    return result
  }

  private func remove(_ selection: Verb.BlockSelection) throws(StepStop) -> StepResult {
    guard let monitor else { throw .skipped("only a guest's machine can lose memory") }
    let blocks = ((try? KernelMap()) ?? kernel).pick(selection, in: .offline)
    guard !blocks.isEmpty else {
      throw .failed(.EINVAL, .argument, "the selection has no block of the machine")
    }
    let pages = Int64(kernel.blockPages)
    for block in blocks {
      switch monitor(.removeMemory(address: UInt64(block * kernel.blockPages) << 12)) {
      case .done: break
      case .failed(let why): throw .skipped("block \(block): \(why)")
      }
    }
    return StepResult(
      requested: Int64(blocks.count) * pages, pages: Int64(blocks.count) * pages,
      blocks: Int64(blocks.count))
  }
}

/// What only the machine's monitor can do.
public enum MachineRequest: Codable, Sendable, Equatable {
  /// A pc-dimm of a size in bytes, on a node.
  case addMemory(bytes: UInt64, node: Int)
  /// The pc-dimm at an address is asked for back.
  case removeMemory(address: UInt64)
}

/// What came of it.
public enum MachineReply: Codable, Sendable, Equatable {
  /// It is done.
  case done
  /// It is not, in the monitor's words.
  case failed(String)
}
