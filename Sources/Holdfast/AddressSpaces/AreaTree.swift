/// The areas of a space, in a treap ordered by address.
///
/// The priority of an area is a hash of its row's number, so that the tree's shape needs no state of its own
/// and is the same in every run. (Linux 6.1 keeps areas in a maple tree.)
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

  private func inserted(_ new: VirtualMemoryArea, under root: RowID) -> RowID {
    guard root != .none else {
      new.left = .none
      new.right = .none
      return new.id
    }
    if Self.priority(new.id) > Self.priority(root) {
      (new.left, new.right) = parts(of: root, below: new.start)
      return new.id
    }
    let node = area(root)
    if new.start < node.start {
      node.left = inserted(new, under: node.left)
    } else {
      node.right = inserted(new, under: node.right)
    }
    return root
  }

  private func removed(_ old: VirtualMemoryArea, from root: RowID) -> RowID {
    guard root != .none else { fatalError("area \(old.id.rawValue) is not in its space's tree") }
    if root == old.id { return joined(old.left, old.right) }
    let node = area(root)
    if old.start < node.start {
      node.left = removed(old, from: node.left)
    } else {
      node.right = removed(old, from: node.right)
    }
    return root
  }

  private func parts(of root: RowID, below page: UInt64) -> (RowID, RowID) {
    guard root != .none else { return (.none, .none) }
    let node = area(root)
    if node.start < page {
      let (low, high) = parts(of: node.right, below: page)
      node.right = low
      return (root, high)
    }
    let (low, high) = parts(of: node.left, below: page)
    node.left = high
    return (low, root)
  }

  private func joined(_ low: RowID, _ high: RowID) -> RowID {
    if low == .none { return high }
    if high == .none { return low }
    if Self.priority(low) > Self.priority(high) {
      let node = area(low)
      node.right = joined(node.right, high)
      return low
    }
    let node = area(high)
    node.left = joined(low, node.left)
    return high
  }

  private static func priority(_ id: RowID) -> UInt32 {
    var mixed = id.rawValue &* 0x9e37_79b9
    mixed = (mixed ^ (mixed >> 16)) &* 0x85eb_ca6b
    return mixed ^ (mixed >> 13)
  }
}
