import Foundation
import Interleaving
import TestThreads
import Testing

/// What the thread sanitizer has to report, or its silence about everything else says nothing.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["HOLDFAST_RACE"] != nil, "races on purpose"))
struct RaceTests {
  private final class Words: @unchecked Sendable {
    // Sendable: it is not, which is the point.
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    init() { raw.initializeMemory(as: UInt8.self, repeating: 0, count: 64) }
    deinit { raw.deallocate() }
    var row: Row { Row(raw) }
  }

  private static let word = Field<UInt64>("word", .owner)

  @Test("two threads write a plain field without a lock")
  func plain() throws {
    let words = Words()
    try together(2, rounds: 2000) { thread, rounds in
      for round in rounds { words.row[Self.word] = UInt64(round) }
    }
  }
}
