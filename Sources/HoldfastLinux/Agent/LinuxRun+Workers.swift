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

  /// The verbs that the coordinator does itself; nil for the others.
  func performHere(_ step: Step) -> WorkerReply? {
    switch step.verb {
    case .signal(let name, let word): signal(name, word)
    case .add(let blocks, let node): add(blocks: blocks, node: node)
    case .remove(let selection): remove(selection)
    default: nil
    }
  }

  private func signal(_ name: String, _ word: SignalWord) -> WorkerReply {
    guard let index = players.firstIndex(where: { $0.actor.name == name }),
      let process = players[index].process
    else { return WorkerReply(outcome: .failed(errno: ESRCH, cause: "the process of \(name) has ended")) }
    if word == .kill {
      for other in players.indices where players[other].process == process { players[other].killed = true }
    }
    let result = hf_kill(process, word == .kill ? SIGKILL : SIGTERM)
    return result < 0 ? WorkerReply(outcome: .failed(errno: Int32(-result), cause: "kill")) : WorkerReply()
  }

  private func add(blocks: Int, node: Int) -> WorkerReply {
    guard let monitor else { return .skipped("only a guest's machine can be given memory") }
    let before = Set(kernel.blocks.map(\.index))
    // A module for each block, so that each can be taken out again by itself.
    for _ in 0..<blocks {
      if case .failed(let why) = monitor(.addMemory(bytes: UInt64(kernel.blockPages) << 12, node: node)) {
        return WorkerReply(outcome: .failed(errno: EIO, cause: why))
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
    return WorkerReply(
      outcome: added >= blocks
        ? .ok : .failed(errno: ENODEV, cause: "the kernel shows \(added) of \(blocks) new blocks after 10 s"),
      requested: Int64(blocks * kernel.blockPages), pages: Int64(added * kernel.blockPages),
      blocks: Int64(added))
  }

  private func remove(_ selection: Verb.BlockSelection) -> WorkerReply {
    guard let monitor else { return .skipped("only a guest's machine can lose memory") }
    let blocks = kernel.pick(selection, in: .offline)
    guard !blocks.isEmpty else {
      return WorkerReply(outcome: .failed(errno: EINVAL, cause: "no block of the machine is meant"))
    }
    let pages = Int64(kernel.blockPages)
    var gone = 0
    for block in blocks {
      switch monitor(.removeMemory(address: UInt64(block * kernel.blockPages) << 12)) {
      case .done: gone += 1
      case .failed(let why):
        return .skipped("block \(block): \(why)")
      }
    }
    return WorkerReply(
      requested: Int64(blocks.count) * pages, pages: Int64(gone) * pages, blocks: Int64(gone))
  }
}

/// What only the machine's monitor can do.
public enum MachineRequest: Codable, Sendable, Equatable {
  /// A pc-dimm of so many bytes, on a node.
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
