import Holdfast
import HoldfastScenario
import Interleaving

/// What the actors of a finding change, from one switch between them to the next.
extension ScenarioWorker {
  /// The frames, entries and blocks that each run of one actor in one step of the scenario leaves changed.
  ///
  /// The execution is repeated. Frames are shown that some entry maps, or waits for, before or after a run.
  func changes(of finding: Finding, _ settings: ExplorationSettings) throws(RunFailure) -> [[String]] {
    let machine = machine.machine
    var ends: [Int] = []
    for (index, step) in finding.steps.enumerated() {
      let next = index + 1 < finding.steps.count ? finding.steps[index + 1] : nil
      if next?.actor != step.actor || next?.name != step.name { ends.append(index + 1) }
    }
    var states: [[UInt8]] = []
    var now: [UInt8] = []
    var program = program
    let restore = program.restore
    program.restore = {
      restore()
      now = Array(machine.state)
      states = [now]
    }
    _ = try exploring { () throws(ExplorationError) in
      try Exploration.run(program, strategy: .replay(finding.schedule), settings: settings) { moment in
        if moment.isEnd { return nil }
        // Steps that are decisions of the environment have no moment of their own.
        while states.count <= ends.count, ends[states.count - 1] < moment.step { states.append(now) }
        now.withUnsafeMutableBytes { $0.copyMemory(from: machine.state) }
        if states.count <= ends.count, ends[states.count - 1] == moment.step { states.append(now) }
        return nil
      }
    }
    while states.count <= ends.count { states.append(now) }
    let frames = states.reduce(into: Set<FrameNumber>()) {
      $0.formUnion(machine.observation.mappedFrames(in: $1))
    }
    return ends.indices.map {
      machine.observation.stateChanges(from: states[$0], to: states[$0 + 1], of: frames)
    }
  }
}
