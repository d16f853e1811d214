import Foundation
import Interleaving
import Testing

@testable import Holdfast

/// A process belongs to one thread at a time, whichever that is.
@Suite("Processes and threads")
struct ProcessThreadTests {
  /// What a thread hands back.
  private final class Result: @unchecked Sendable {
    // Sendable: written before the thread signals its end, read after.
    var frames: [FrameNumber] = []
    var holders: [ProcessID] = []
  }

  /// Runs `body` on a thread of its own to its end, as a program does that gives a worker its process.
  private static func onThread(_ body: @escaping @Sendable () throws -> Void) {
    let ended = DispatchSemaphore(value: 0)
    Thread {
      do { try body() } catch { Issue.record(error) }
      ended.signal()
    }.start()
    ended.wait()
  }

  @Test("a process is handed to another thread, which pins and writes in its name, and back")
  func handedOver() throws {
    let rig = try PinRig(frames: 512)
    let machine = rig.machine
    let process = try machine.createProcess(name: "worker", processor: 1)
    let start = try machine.map(process, pages: 4)
    try machine.fill(process, start, pages: 4, pattern: 0x51)
    let result = Result()
    Self.onThread {
      let pins = try machine.pin(process, at: start, pages: 4, flags: [.write, .longterm])
      result.frames = pins.withFrames(Array.init)
      result.holders = machine.pinHolders.map(\.owner)
      try machine.fill(process, start, pages: 4, pattern: 0x52)
    }
    #expect(result.frames.count == 4, "pages pinned on the other thread")
    #expect(result.holders == [process.id], "the holder while they were")
    #expect(machine.pinHolders.isEmpty, "unpinned with the value, on that thread")
    for page in 0..<4 {
      #expect(try machine.touch(process, start + page * 4096, write: false) == result.frames[page])
    }
    machine.exit(process)
    machine.lru.drainAll(for: rig.process)
    rig.check("exited")
  }
}
