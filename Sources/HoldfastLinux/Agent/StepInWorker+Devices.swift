import HoldfastScenario
import SystemPackage

/// What devices see through the pins that they hold.
extension StepInWorker {
  /// Pages that QEMU's `edu` moves in a second or two; of a larger pin it sees as many, evenly spread.
  private static let pagesForEdu = 8
  /// Pages that go through a ring at once.
  private static let pagesAtOnce = 256

  /// Pages of one pin that a device moves at once.
  private struct Piece {
    let pin: HeldPin
    /// In the pin.
    let pages: Range<Int>
    /// In all that is held under the name: where the pattern is.
    let place: Range<Int>
  }

  func write(
    _ pages: Range<Int>, of holding: [HeldPin], _ pattern: Pattern
  ) throws(StepStop) -> StepResult {
    try throughDevice(pages, of: holding, writes: true) { piece throws(Errno) in
      try piece.pin.write(pattern.bytes(piece.place), at: piece.pages.lowerBound << 12)
      return nil
    }
  }

  func check(
    _ pages: Range<Int>, of holding: [HeldPin], _ pattern: Pattern
  ) throws(StepStop) -> StepResult {
    try throughDevice(pages, of: holding, writes: false) { piece throws(Errno) in
      let found = try piece.pin.read(piece.pages.lowerBound << 12..<piece.pages.upperBound << 12)
      let expected = pattern.bytes(piece.place)
      guard found != expected else { return nil }
      let offset = zip(found, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
      return piece.place.lowerBound + offset >> 12
    }
  }

  /// Lets the device see pages piece by piece; a piece names the first page that is not as it should be.
  private func throughDevice(
    _ pages: Range<Int>, of holding: [HeldPin], writes: Bool, _ body: (Piece) throws(Errno) -> Int?
  ) throws(StepStop) -> StepResult {
    let total = pages.count
    var pieces = Self.pieces(pages, of: holding, each: Self.pagesAtOnce)
    if holding.contains(where: \.isVFIO) {
      let count = min(total, Self.pagesForEdu)
      guard count == total || !writes else {
        throw .skipped("QEMU's edu takes a fifth of a second for half a page, too long for \(total) pages")
      }
      pieces = (0..<count).flatMap { index in
        let page = pages.lowerBound + (count > 1 ? index * (total - 1) / (count - 1) : 0)
        return Self.pieces(page..<page + 1, of: holding, each: 1)
      }
    }
    var seen = 0
    for piece in pieces {
      let difference = try calling("the device") { () throws(Errno) in try body(piece) }
      if let difference { throw Self.differs(difference, of: total) }
      seen += piece.pages.count
    }
    var result = StepResult(requested: Int64(total), pages: Int64(seen))
    if seen < total {
      result.text =
        "the device saw \(seen) pages, evenly spread: it takes a fifth of a second for half a page"
    }
    return result
  }

  /// The pages, in pieces that each lie in one pin.
  private static func pieces(_ pages: Range<Int>, of holding: [HeldPin], each most: Int) -> [Piece] {
    var pieces: [Piece] = []
    var first = 0
    for pin in holding {
      let part = pages.clamped(to: first..<first + pin.pages)
      for start in stride(from: part.lowerBound, to: part.upperBound, by: most) {
        let place = start..<min(start + most, part.upperBound)
        pieces.append(
          Piece(pin: pin, pages: place.lowerBound - first..<place.upperBound - first, place: place))
      }
      first += pin.pages
    }
    return pieces
  }
}
