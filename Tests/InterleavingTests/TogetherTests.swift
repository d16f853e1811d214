import TestThreads
import Testing

/// What tests of concurrency stand on.
@Suite struct TogetherTests {
  private struct Failure: Error {}

  @Test("threads begin together and do their rounds, and more until all have met", arguments: 1...4)
  func meeting(_ threads: Int) throws {
    let done = try together(threads, rounds: 20) { thread, rounds in
      for (expected, round) in rounds.enumerated() where round != expected { throw Failure() }
    }
    #expect(done.count == threads)
    #expect(done.allSatisfy { $0 >= 20 })
  }

  @Test("an error of one thread comes back, and the others end after their rounds")
  func failing() {
    #expect(throws: Failure.self) {
      try together(3, rounds: 20) { thread, rounds in
        for round in rounds where thread == 1 && round == 3 { throw Failure() }
      }
    }
  }

  @Test("a thread that does no round was never met")
  func lonely() {
    let error = #expect(throws: NeverMet.self) {
      try together(2, rounds: 20) { thread, rounds in
        if thread == 0 { for _ in rounds {} }
      }
    }
    #expect(error?.rounds.last == 0)
  }
}
