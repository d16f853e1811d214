/// The areas of a space, in a treap ordered by address. (Linux 6.1 keeps areas in a maple tree.)
///
/// - Locks: the caller holds the space's lock, shared to read the tree, exclusive to change it.
extension Spaces {
  /// The area that contains a page, or nil.
  ///
  /// - Locks: the caller holds the space's lock.
  /// - Kernel: include/linux/mm.h:vma_lookup (6.1)
  package func findArea(_ space: AddressSpace, _ page: UInt64) -> VirtualMemoryArea? {
    guard let area = firstArea(space, from: page), area.start <= page else { return nil }
    return area
  }

  /// The area that contains a page, else the next one above, else nil.
  ///
  /// - Locks: the caller holds the space's lock.
  /// - Kernel: mm/mmap.c:find_vma (6.1)
  func firstArea(_ space: AddressSpace, from page: UInt64 = 0) -> VirtualMemoryArea? {
    var at = space.areaRoot
    var best: VirtualMemoryArea?
    while at != .none {
      let node = area(at)
      if node.end > page {
        best = node
        at = node.left
      } else {
        at = node.right
      }
    }
    return best
  }

  /// The highest area that begins below a page, or nil.
  ///
  /// - Locks: the caller holds the space's lock.
  func lastArea(_ space: AddressSpace, startingBelow page: UInt64) -> VirtualMemoryArea? {
    var at = space.areaRoot
    var best: VirtualMemoryArea?
    while at != .none {
      let node = area(at)
      if node.start < page {
        best = node
        at = node.right
      } else {
        at = node.left
      }
    }
    return best
  }

  /// Calls `body` with every area that meets the span, in ascending order; `body` may not change the tree.
  func forEachArea<Failure: Error>(
    _ space: AddressSpace, in span: PageSpan, _ body: (VirtualMemoryArea) throws(Failure) -> Void
  ) throws(Failure) {
    var next = span.start
    while next < span.end, let area = firstArea(space, from: next), area.start < span.end {
      next = area.end
      try body(area)
    }
  }

  /// Inserts an area into the tree.
  func insertArea(_ space: AddressSpace, _ new: VirtualMemoryArea) {
    space.areaRoot = inserted(new, under: space.areaRoot)
    space.areaCount += 1
  }

  /// Removes an area from the tree.
  func removeArea(_ space: AddressSpace, _ old: VirtualMemoryArea) {
    space.areaRoot = removed(old, from: space.areaRoot)
    space.areaCount -= 1
  }
}

extension VirtualMemoryArea: TreeNode {
  var key: UInt64 { start }

  static func node(_ id: RowID, of machine: Machine) -> VirtualMemoryArea { machine.spaces.area(id) }
}
