import Interleaving
import TestThreads
import Testing
@testable import Holdfast
@Suite struct TempRaceTests {
  private final class Words: @unchecked Sendable {
    // Sendable: no.
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
    init() { raw.initializeMemory(as: UInt8.self, repeating: 0, count: 256) }
    var row: Row { Row(raw) }
  }
  @Test("plain") func plain() throws {
    let words = Words()
    let done = try together(2, rounds: 2000) { _, rounds in
      for _ in rounds { words.row.setPlain(8, words.row.plain(8, as: UInt64.self) + 1) }
    }
    print(done, words.row.plain(8, as: UInt64.self))
  }
  @Test("race") func race() throws {
    let rig = try PinRig(.movable)
    let start = try rig.map(4)
    try together(2, rounds: 2000) { thread, rounds in
      for _ in rounds {
        if let pins = try? rig.machine.pin(rig.process, at: start, pages: 2, flags: [.write, .longterm]) { pins.unpin() }
        try? rig.machine.advise(rig.process, AddressRange(start: start, pages: 4), .dontNeed)
      }
    }
  }
}
