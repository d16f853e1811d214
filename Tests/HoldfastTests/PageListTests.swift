import Interleaving
import Testing

@testable import Holdfast

/// The one linked list that free lists, LRU lists and the lists of callers are.
@Suite struct PageListTests {
  private static let frames = (40..<44).map { FrameNumber($0) }

  private func list(_ frames: [FrameNumber], in memmap: Memmap) -> FolioList {
    var list = FolioList()
    for frame in frames { list.pushLast(frame, in: memmap) }
    return list
  }

  /// What a list holds, from its front and from its end, and how many it says that is.
  private func expect(_ list: FolioList, is frames: [FrameNumber], in memmap: Memmap, _ what: String) {
    func walk(from start: FrameNumber, _ next: (Page) -> FrameNumber) -> [FrameNumber] {
      var found: [FrameNumber] = []
      var frame = start
      while frame != .none, found.count <= Self.frames.count {
        found.append(frame)
        frame = next(memmap.page(frame))
      }
      return found
    }
    #expect(walk(from: list.first) { $0.next } == frames, "\(what), from the front")
    #expect(walk(from: list.last) { $0.previous } == frames.reversed(), "\(what), from the end")
    #expect(list.count == frames.count && list.isEmpty == frames.isEmpty, "\(what), counted")
  }

  @Test("a page is taken off at any place, and both directions of the list agree on what is left")
  func removal() throws {
    let machine = try Machine(.small(frames: 64))
    defer { withExtendedLifetime(machine) {} }
    let memmap = machine.memmap
    for gone in Self.frames.indices {
      var rest = Self.frames
      var list = list(rest, in: memmap)
      list.remove(rest.remove(at: gone), in: memmap)
      expect(list, is: rest, in: memmap, "without \(gone)")
      // What was taken off comes back at the front, and the end is still found from the back.
      list.pushFirst(Self.frames[gone], in: memmap)
      expect(list, is: [Self.frames[gone]] + rest, in: memmap, "with \(gone) at the front")
      for frame in rest.reversed() { list.remove(frame, in: memmap) }
      #expect(list.popFirst(in: memmap) == Self.frames[gone])
      expect(list, is: [], in: memmap, "emptied after \(gone)")
      #expect(list.popFirst(in: memmap) == nil)
    }
  }
}
