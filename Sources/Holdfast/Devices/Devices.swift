import Interleaving
import SystemPackage

/// Containers of devices, their domains and mappings (VFIO type 1).
///
/// What the kernel keeps of a mapping's frames is what the tables of the first domain say; here the ledger has them
/// as well, and that both are the same is an invariant.
package struct Devices: Room {
  package let machine: Machine

  package func container(_ id: RowID) -> Container {
    Container(row: machine.row(machine.layout.containers, id.index), id: id)
  }
  package func domain(_ id: RowID) -> Domain {
    Domain(row: machine.row(machine.layout.domains, id.index), id: id)
  }
  package func group(_ id: RowID) -> AttachedGroup {
    AttachedGroup(row: machine.row(machine.layout.deviceGroups, id.index), id: id)
  }
  package func mapping(_ id: RowID) -> Mapping {
    Mapping(row: machine.row(machine.layout.mappings, id.index), id: id)
  }
}

extension Room {
  /// Containers of devices.
  @inline(__always)
  package var devices: Devices { Devices(machine: machine) }
}

extension Machine {
  /// How many mappings a container may have (dma_entry_limit).
  public static let mappingLimit = 65535

  /// Opens a container, which has no IOMMU until a device is attached.
  ///
  /// - Throws: ENOMEM if the table of containers is full.
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_open (6.1); without nesting domains.
  public func openContainer(
    _ kind: ContainerKind = .type1v2, mappings: Int = mappingLimit
  ) throws(DeviceError) -> DeviceContainer {
    tick()
    guard let id = pools.allocate(.containers) else {
      throw DeviceError(.open, .tableFull("containers"), .noMemory)
    }
    let container = devices.container(id).unshared
    container.kind = kind
    container.available = mappings
    return DeviceContainer(id: id)
  }

  /// Closes a container: its devices leave it, and everything in it is unmapped and unpinned.
  ///
  /// A container is closed exactly once.
  ///
  /// - Kernel: drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_release (6.1)
  public func closeContainer(_ handle: DeviceContainer, on processor: Int = 0) {
    tick()
    let container = devices.container(handle.id)
    while let group = container.lock.withLock({ devices.firstGroup(of: container) }) {
      devices.detach(group, on: processor)
    }
    pools.free(.containers, handle.id)
  }

  /// The devices in a container, the newest first.
  public func groups(of handle: DeviceContainer) -> [DeviceGroup] {
    let container = devices.container(handle.id)
    return container.lock.withLock { devices.groups(of: container).map { DeviceGroup(id: $0.id) } }
  }
}

extension Devices {
  /// - Locks: the caller holds the container's lock.
  func firstGroup(of container: Container) -> AttachedGroup? {
    container.firstGroup == .none ? nil : group(container.firstGroup)
  }

  /// The groups of a container, emulated ones among them, the newest first.
  ///
  /// - Locks: the caller holds the container's lock.
  package func groups(of container: Container) -> [AttachedGroup] {
    var found: [AttachedGroup] = []
    var next = container.firstGroup
    while next != .none {
      found.append(group(next))
      next = group(next).next
    }
    return found
  }

  /// The domains of a container, the newest first.
  ///
  /// - Locks: the caller holds the container's lock.
  package func domains(of container: Container) -> [Domain] {
    var found: [Domain] = []
    var next = container.firstDomain
    while next != .none {
      found.append(domain(next))
      next = domain(next).next
    }
    return found
  }
}
