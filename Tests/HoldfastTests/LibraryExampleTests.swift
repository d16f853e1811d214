import Holdfast
import Testing

/// The example of Documentation/Library.md, by the public interface alone.
@Suite struct LibraryExampleTests {
  @Test("real memory is pinned long term, moved out of the way first, and its old block given back")
  func example() throws {
    // 1 GiB in blocks of 128 MiB, the upper half movable, with real memory behind every frame that is used.
    var configuration = MachineConfiguration(frames: 1 << 18)
    configuration.movable = .movablecore(frames: 1 << 17)
    configuration.backing = .memfd
    let machine = try Machine(configuration)
    let process = try machine.createProcess(name: "dma", memlockLimit: .max)

    // A buffer of 1 MiB; the first touch puts it into ZONE_MOVABLE, where new memory is taken from first.
    let buffer = try machine.map(process, pages: 256, populate: true)
    try machine.fill(process, buffer, pages: 256, pattern: 42)

    // A long-term pin moves it away before it holds it.
    let pins = try machine.pin(
      process, at: buffer, pages: 256, flags: [.write, .longterm], purpose: PinLabel("nic ring"),
      accounting: .locked)
    let bytes = try #require(machine.bytes(of: pins[0]))
    #expect(bytes.count == pageSize)

    // The movable half is empty again, and its memory goes back to the host.
    let movable = machine.presentBlocks.filter { machine.describe($0)?.zone?.kind == .movable }
    #expect(movable.count == 4)
    for block in movable {
      try machine.offline(block, by: process, limits: OfflineLimits(passes: 10))
      try machine.removeMemory(block)
    }
    #expect(try machine.check(process, buffer, pages: 256, pattern: 42) == nil)

    // A block that the pin is in stays, and the error says why and who.
    let held = machine.block(of: pins[0])
    #expect(throws: OfflineError.self) {
      try machine.offline(held, by: process, limits: OfflineLimits(passes: 2))
    }
    #expect(machine.holders(of: machine.frames(of: held)).map(\.purpose) == ["nic ring"])
    pins.unpin(markDirty: true)
    machine.exit(process)
  }
}
