import Holdfast

/// What the kernel does for one call of a gup_test command, with its own accounting.
///
/// - Kernel: mm/gup_test.c:__gup_test_ioctl (6.1)
/// - Kernel: mm/gup_test.c:put_back_pages (6.1)
struct GupTestCall: Sendable {
  /// Pins or references in a box: collections cannot hold what is not copyable.
  private final class Held {
    private var pinned: PinnedPages?
    private var gotten: GottenPages?
    init(pinned: consuming PinnedPages) { self.pinned = consume pinned }
    init(gotten: consuming GottenPages) { self.gotten = consume gotten }
  }

  let machine: Machine
  let task: Process
  let request: GupTestRequest
  let address: VirtualAddress

  func run() -> GupTestResult {
    var result = GupTestResult(
      command: request.command, getMicroseconds: 0, putMicroseconds: 0, size: request.size, pages: 0, log: [],
      failure: nil)
    var held: [Held] = []
    var frames: [FrameNumber] = []
    frames.reserveCapacity(Int(request.size >> 12))

    let clock = ContinuousClock()
    let start = clock.now
    result.size = take(&held, &frames, &result.failure)
    result.getMicroseconds = Self.microseconds(clock.now - start)
    result.pages = frames.count
    if request.command.isVerified { verify(frames, &result.log) }
    if request.command == .dump { dump(frames, &result.log) }
    let end = clock.now
    held.removeAll()
    result.putMicroseconds = Self.microseconds(clock.now - end)
    return result
  }

  /// Steps over the range; a call that fails is not counted, a short one counts with its whole step and is the last.
  private func take(
    _ held: inout [Held], _ frames: inout [FrameNumber], _ failure: inout PinError?
  ) -> UInt64 {
    let wanted = Int(request.pagesPerCall)
    var count = wanted
    var offset: UInt64 = 0
    while offset < request.size, count == wanted {
      var next = offset + UInt64(count) << 12
      if next > request.size {
        next = request.size
        count = Int((next - offset) >> 12)
      }
      do {
        count = try call(at: VirtualAddress(rawValue: address.rawValue + offset), count, &held, &frames)
      } catch {
        failure = error
        count = 0
      }
      if count == 0 { break }
      offset = next
    }
    return offset
  }

  private func call(
    at address: VirtualAddress, _ count: Int, _ held: inout [Held], _ frames: inout [FrameNumber]
  ) throws(PinError) -> Int {
    var flags = request.flags
    var isPin = true
    var entry = PinEntry.slow
    switch request.command {
    case .gupFast: (isPin, entry) = (false, .fast)
    case .pinFast: entry = .fast
    case .pinLongterm: flags.insert(.longterm)
    case .gupBasic: isPin = false
    case .pinBasic: break
    case .dump: isPin = request.dumpsPinned
    }
    if isPin {
      let pages = try machine.pin(
        task, at: address, pages: count, flags: flags, entry: entry, purpose: PinLabel("gup_test"))
      let taken = pages.count
      pages.withFrames { frames.append(contentsOf: $0) }
      if taken > 0 { held.append(Held(pinned: pages)) }
      return taken
    }
    let pages = try machine.get(
      task, at: address, pages: count, flags: flags, entry: entry, purpose: PinLabel("gup_test"))
    let taken = pages.count
    for index in 0..<taken { frames.append(pages[index]) }
    if taken > 0 { held.append(Held(gotten: pages)) }
    return taken
  }

  /// Checks that every page is recognised as pinned and may be where it is; the first that fails is dumped.
  ///
  /// - Kernel: mm/gup_test.c:verify_dma_pinned (6.1)
  private func verify(_ frames: [FrameNumber], _ log: inout [String]) {
    for (index, frame) in frames.enumerated() {
      let isPinned = machine.folios.isMaybePinned(machine.memmap.head(of: frame))
      if isPinned, request.command != .pinLongterm || machine.folios.isLongtermPinnable(frame) { continue }
      log.append("pages[\(index)] is NOT \(isPinned ? "pinnable but pinned" : "dma-pinned")")
      log += machine.dump(frame, reason: "gup_test failure")
      return
    }
  }

  private func dump(_ frames: [FrameNumber], _ log: inout [String]) {
    var chosen = Array(request.dumpedPages.prefix(GupTestRequest.maxDumpedPages))
    for (place, number) in chosen.enumerated() where number > frames.count {
      log.append("ZEROING due to out of range: .which_pages[\(place)]: \(number)")
      chosen[place] = 0
    }
    for number in chosen where number > 0 {
      log.append("---- page #\(number - 1), starting from user virt addr: \(address)")
      log += machine.dump(frames[Int(number) - 1], reason: "gup_test: dump_pages() test")
    }
  }

  private static func microseconds(_ duration: Duration) -> Int64 {
    let (seconds, attoseconds) = duration.components
    return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
  }
}
