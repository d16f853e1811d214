import Holdfast
import HoldfastScenario
import Synchronization
import Testing

@testable import HoldfastLab
@testable import HoldfastLinux

/// The interpreter of steps on the operations of both grounds: the engine's, and the system calls of a worker, here
/// made by the test's own process.
@Suite struct InterpreterTests {
  enum Ground: CaseIterable, Sendable { case engine, linux }

  /// Does the steps of a scenario's one actor, each as often as it is told to, and gives their results.
  ///
  /// - Parameter base: where a worker's regions begin; other tests use this process's memory too.
  private func perform(
    _ steps: [String], on ground: Ground, repeating: [Int: Int] = [:], from base: UInt64 = Self.someAddress()
  ) throws -> [StepResult] {
    let text = """
      scenario: interpreter
      summary: steps on either ground
      machine: {memory: 1GiB}
      actors:
        - name: one
          steps:
      \(steps.map { "      - \($0)" }.joined(separator: "\n"))
      """
    var scenario = try Scenario(yaml: text, file: "interpreter.yaml")
    for (index, count) in repeating { scenario.actors[0].steps[index].repeats = count }
    let actor = scenario.actors[0]
    switch ground {
    case .engine:
      let configuration = try MachineConfiguration(scenario.machine, policy: .linux6_1, backing: .none)
      let machine = try Machine(configuration)
      let stage = Stage(
        machine: machine, scenario: scenario, policy: .linux61, processors: [:], hasThreads: false)
      stage.processes["one"] = try machine.createProcess(name: "one", memlockLimit: .max)
      return actor.steps.map { stage.perform($0, by: actor) }
    case .linux:
      let worker = Worker(scenario, reach: .host, ends: [:])
      worker.held.withLock { $0.nextAddress = base }
      var regions: [String: PlacedRegion] = [:]
      return actor.steps.map { step in
        let operations = StepInWorker(worker: worker, actor: actor, regions: regions)
        let result = operations.perform(step, by: actor)
        regions.merge(operations.changes.mapped) { $1 }
        return result
      }
    }
  }

  /// Where nothing is mapped in all likelihood.
  private static func someAddress() -> UInt64 { (1 << 40) + UInt64.random(in: 0..<1 << 20) << 24 }

  private func errno(_ result: StepResult) -> ErrorNumber? {
    if case .failed(let error) = result.ending { error.errno } else { nil }
  }

  @Test("rounds are counted as they are begun, up to the one that fails", arguments: Ground.allCases)
  func rounds(_ ground: Ground) throws {
    // Two mappings fit: into the engine's address space, and before a page that is in the way of the third.
    let map: String
    let base = Self.someAddress()
    switch ground {
    case .engine: map = "map: {region: big, size: 102400GiB, protection: none}"
    case .linux:
      map = "map: {region: small, size: 2 pages}"
      _ = try MemoryCalls.map(.anonymous, byteCount: 4096, at: base + (8 << 20))
    }
    let result = try perform([map], on: ground, repeating: [0: 9], from: base)[0]
    #expect(errno(result) == (ground == .engine ? .ENOMEM : .EEXIST))
    #expect(result.rounds == 3)
    var scenario = try Scenario(
      yaml: """
        scenario: rounds
        summary: one step
        machine: {memory: 1GiB}
        actors: [{name: one, steps: [{\(map)}]}]
        """, file: "rounds.yaml")
    scenario.actors[0].steps[0].repeats = 9
    var record = StepRecord(sequence: 1, actor: "one", step: scenario.actors[0].steps[0], begin: 0)
    record.fill(scenario.actors[0].steps[0], result, nil)
    #expect(record.repeats == 3 && record.status == .failed)
  }

  @Test("what was never taken is not given back, and no device sees through it", arguments: Ground.allCases)
  func neverTaken(_ ground: Ground) throws {
    let steps = [
      "map: {region: ram, size: 2 pages}", "unmap: ram",
      "pin: {as: dma, region: ram, flags: [write, longterm], purpose: io-uring}", "unpin: dma",
      "unpin: {pin: dma, size: 1 pages}", "write: {pin: dma, pattern: 1}", "check: {pin: dma, pattern: 1}",
    ]
    let results = try perform(steps, on: ground)
    #expect(errno(results[2]) != nil)
    for result in results.dropFirst(3) {
      #expect(result == StepResult(.skipped("dma was not taken, or was given back")))
      #expect(result.rounds == 0)
    }
  }

  @Test("what the round that fails has done is in the sums, and no round follows it")
  func failingRound() {
    let error = StepError(errno: .EIO, stage: .untold, cause: "no more")
    var begun = 0
    let result = StepResult.repeating(5) {
      begun += 1
      return begun < 3
        ? StepResult(allOf: 4) : StepResult(.failed(error, StepResult(requested: 4, pages: 1)))
    }
    #expect(begun == 3 && result.rounds == 3)
    #expect(result.ending == .failed(error))
    #expect(result.requested == 12 && result.pages == 9)
  }

  @Test("a name holds what all rounds have taken", arguments: Ground.allCases)
  func allRounds(_ ground: Ground) throws {
    let steps = [
      "map: {region: ram, size: 2 pages}", "write: {region: ram, pattern: {sequence: 3}}",
      "{get: {as: refs, region: ram}, repeat: 2}",
      "check: {reference: refs, size: 2 pages, pattern: {sequence: 3}}",
      "check: {reference: refs, pattern: {sequence: 3}}", "check: {reference: refs, size: 5 pages}",
      "{put: refs, repeat: 2}",
    ]
    let results = try perform(steps, on: ground)
    #expect(results[2].pages == 4 && results[2].rounds == 2)
    #expect(results[3].ending == .ok && results[3].pages == 2)
    // The second round's pages hold the pattern's first pages again.
    #expect(errno(results[4]) == .EIO && results[4].pages == 2)
    #expect(errno(results[5]) == .EINVAL)
    #expect(results[6].ending == .skipped("refs was not taken, or was given back"))
    #expect(results[6].pages == 4 && results[6].rounds == 1)
  }
}
