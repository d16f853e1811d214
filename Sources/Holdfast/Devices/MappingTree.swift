/// The mappings of a container, in a treap ordered by the device's addresses.
///
/// As in the tree of areas the priority is a hash of the row's number, so that the shape is the same in every run.
///
/// - Locks: the caller holds the container's lock.
extension Devices {
  /// A mapping that meets a range of addresses, or nil; a length of zero means no more than a place.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_find_dma (6.1)
  func find(_ container: Container, at iova: UInt64, length: UInt64) -> Mapping? {
    var at = container.root
    while at != .none {
      let node = mapping(at)
      if iova &+ length <= node.iova {
        at = node.left
      } else if iova >= node.iova &+ node.size {
        at = node.right
      } else {
        return node
      }
    }
    return nil
  }

  /// The lowest mapping that ends above an address, or nil.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_find_dma_first_node (6.1); without the end of the range, which
  ///   the caller compares.
  func first(_ container: Container, from iova: UInt64) -> Mapping? {
    var at = container.root
    var best: Mapping?
    while at != .none {
      let node = mapping(at)
      if iova < node.iova &+ node.size {
        best = node
        if iova >= node.iova { break }
        at = node.left
      } else {
        at = node.right
      }
    }
    return best
  }

  /// All mappings of a container, ascending.
  ///
  /// - Locks: the caller holds the container's lock.
  package func mappings(of container: Container) -> [Mapping] {
    var found: [Mapping] = []
    collect(container.root, &found)
    return found
  }

  private func collect(_ root: RowID, _ found: inout [Mapping]) {
    guard root != .none else { return }
    let node = mapping(root)
    collect(node.left, &found)
    found.append(node)
    collect(node.right, &found)
  }

  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_link_dma (6.1)
  func link(_ new: Mapping, to container: Container) {
    container.root = inserted(new, under: container.root)
  }

  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_unlink_dma (6.1)
  func unlink(_ old: Mapping, from container: Container) {
    container.root = removed(old, from: container.root)
  }

  private func inserted(_ new: Mapping, under root: RowID) -> RowID {
    guard root != .none else { return new.id }
    if Self.priority(new.id) > Self.priority(root) {
      (new.left, new.right) = parts(of: root, below: new.iova)
      return new.id
    }
    let node = mapping(root)
    if new.iova < node.iova {
      node.left = inserted(new, under: node.left)
    } else {
      node.right = inserted(new, under: node.right)
    }
    return root
  }

  private func removed(_ old: Mapping, from root: RowID) -> RowID {
    guard root != .none else { fatalError("mapping \(old.id.rawValue) is not in its container's tree") }
    if root == old.id { return joined(old.left, old.right) }
    let node = mapping(root)
    if old.iova < node.iova {
      node.left = removed(old, from: node.left)
    } else {
      node.right = removed(old, from: node.right)
    }
    return root
  }

  private func parts(of root: RowID, below iova: UInt64) -> (RowID, RowID) {
    guard root != .none else { return (.none, .none) }
    let node = mapping(root)
    if node.iova < iova {
      let (low, high) = parts(of: node.right, below: iova)
      node.right = low
      return (root, high)
    }
    let (low, high) = parts(of: node.left, below: iova)
    node.left = high
    return (low, root)
  }

  private func joined(_ low: RowID, _ high: RowID) -> RowID {
    if low == .none { return high }
    if high == .none { return low }
    if Self.priority(low) > Self.priority(high) {
      let node = mapping(low)
      node.right = joined(node.right, high)
      return low
    }
    let node = mapping(high)
    node.left = joined(low, node.left)
    return high
  }

  private static func priority(_ id: RowID) -> UInt32 {
    var mixed = id.rawValue &* 0x9e37_79b9
    mixed = (mixed ^ (mixed >> 16)) &* 0x85eb_ca6b
    return mixed ^ (mixed >> 13)
  }
}
