/// The mappings of a container, in a treap ordered by the device's addresses.
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
    ascending(Mapping.self, under: container.root)
  }

  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_link_dma (6.1)
  func link(_ new: Mapping, to container: Container) {
    container.root = inserted(new, under: container.root)
  }

  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_unlink_dma (6.1)
  func unlink(_ old: Mapping, from container: Container) {
    container.root = removed(old, from: container.root)
  }
}

extension Mapping: TreeNode {
  var key: UInt64 { iova }

  static func node(_ id: RowID, of machine: Machine) -> Mapping { machine.devices.mapping(id) }
}
