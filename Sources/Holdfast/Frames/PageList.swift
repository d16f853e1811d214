/// A doubly linked list of pages, linked through `Page.next` and `Page.previous`.
///
/// A page is on at most one list. The links of a page that was removed from a list keep their old values.
///
/// - Locks: the caller holds the list's lock, or owns the list.
package protocol PageList {
  /// The page at the front; `.none` if the list is empty.
  var first: FrameNumber { get set }
  /// The page at the end; `.none` if the list is empty.
  var last: FrameNumber { get set }
  /// Pages on the list.
  var count: Int { get set }
}

extension PageList {
  @inline(__always)
  package var isEmpty: Bool { first == .none }

  /// Puts a page at the front.
  @inline(__always)
  package mutating func pushFirst(_ frame: FrameNumber, in memmap: Memmap) {
    let page = memmap.page(frame)
    let next = first
    page.previous = .none
    page.next = next
    if next == .none { last = frame } else { memmap.page(next).previous = frame }
    first = frame
    count = count &+ 1
  }

  /// Puts a page at the end.
  @inline(__always)
  package mutating func pushLast(_ frame: FrameNumber, in memmap: Memmap) {
    let page = memmap.page(frame)
    let previous = last
    page.next = .none
    page.previous = previous
    if previous == .none { first = frame } else { memmap.page(previous).next = frame }
    last = frame
    count = count &+ 1
  }

  /// Takes a page off the list that it is on.
  @inline(__always)
  package mutating func remove(_ frame: FrameNumber, in memmap: Memmap) {
    let page = memmap.page(frame)
    let next = page.next
    let previous = page.previous
    if previous == .none { first = next } else { memmap.page(previous).next = next }
    if next == .none { last = previous } else { memmap.page(next).previous = previous }
    count = count &- 1
  }

  /// Takes the page at the front off the list; nil if it is empty.
  @inline(__always)
  package mutating func popFirst(in memmap: Memmap) -> FrameNumber? {
    let frame = first
    if frame == .none { return nil }
    let next = memmap.page(frame).next
    first = next
    if next == .none { last = .none } else { memmap.page(next).previous = .none }
    count = count &- 1
    return frame
  }
}

/// A list whose ends lie in a row of the tables.
extension FrameList: PageList {}

/// Folios that one caller has isolated.
package struct FolioList: PageList {
  package var first = FrameNumber.none
  package var last = FrameNumber.none
  package var count = 0

  package init() {}
}
