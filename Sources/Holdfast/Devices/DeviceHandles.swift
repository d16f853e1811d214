package import Interleaving

/// A container (vfio_container with its vfio_iommu): a handle to its row.
package struct Container {
  let row: Row
  package let id: RowID

  /// The same while no other thread can reach the row.
  var unshared: Container { Container(row: row.unshared, id: id) }

  /// 1 while the row is in use.
  package var live: UInt32 { row[ContainerRow.live] }
  /// Serialises what is done to the container, pins of its pages included (vfio_iommu.lock).
  package var lock: SpinLock { row.lock(ContainerRow.lock) }
  /// The interface by which it was opened.
  package var kind: ContainerKind {
    get { ContainerKind(rawValue: row[ContainerRow.kind]) ?? .type1v2 }
    nonmutating set { row[ContainerRow.kind] = newValue.rawValue }
  }
  /// Root of the tree of mappings.
  package var root: RowID {
    get { row[ContainerRow.root] }
    nonmutating set { row[ContainerRow.root] = newValue }
  }
  /// How many mappings there may be besides (dma_avail).
  package var available: Int {
    get { Int(row[ContainerRow.available]) }
    nonmutating set { row[ContainerRow.available] = UInt32(newValue) }
  }
  /// The list of domains, the newest last.
  package var firstDomain: RowID {
    get { row[ContainerRow.firstDomain] }
    nonmutating set { row[ContainerRow.firstDomain] = newValue }
  }
  /// The list of groups, emulated ones among them, the newest first.
  package var firstGroup: RowID {
    get { row[ContainerRow.firstGroup] }
    nonmutating set { row[ContainerRow.firstGroup] = newValue }
  }
  /// Whom pins are charged to, if it is an IO address space of iommufd; nil for a container of VFIO.
  package var accounting: IOAccounting? {
    get { row[ContainerRow.accounting] == 0 ? nil : IOAccounting(rawValue: row[ContainerRow.accounting] - 1) }
    nonmutating set { row[ContainerRow.accounting] = newValue.map { $0.rawValue + 1 } ?? 0 }
  }
  /// Mappings whose address in the space has been taken away (vaddr_invalid_count).
  package var invalid: Int {
    get { Int(row[ContainerRow.invalid]) }
    nonmutating set { row[ContainerRow.invalid] = UInt32(newValue) }
  }
}

/// A domain (vfio_domain with its iommu_domain): a handle to its row.
package struct Domain {
  let row: Row
  package let id: RowID

  /// The same while no other thread can reach the row.
  var unshared: Domain { Domain(row: row.unshared, id: id) }

  /// 1 while the row is in use.
  package var live: UInt32 { row[DomainRow.live] }
  /// Protects the entries of the domain's tables.
  package var lock: SpinLock { row.lock(DomainRow.lock) }
  /// Top-level table page.
  package var rootTable: RowID {
    get { row[DomainRow.rootTable] }
    nonmutating set { row[DomainRow.rootTable] = newValue }
  }
  /// The next domain of the container.
  package var next: RowID {
    get { row[DomainRow.next] }
    nonmutating set { row[DomainRow.next] = newValue }
  }
  /// Sizes of pages in bytes, a bit for each (pgsize_bitmap).
  package var pageSizes: UInt64 {
    get { row[DomainRow.pageSizes] }
    nonmutating set { row[DomainRow.pageSizes] = newValue }
  }
  /// The addresses that it can translate.
  package var aperture: ClosedRange<UInt64> {
    get { row[DomainRow.first]...max(row[DomainRow.first], row[DomainRow.last]) }
    nonmutating set {
      row[DomainRow.first] = newValue.lowerBound
      row[DomainRow.last] = newValue.upperBound
    }
  }
  /// Whose IOMMU it is.
  var iommu: UInt32 {
    get { row[DomainRow.iommu] }
    nonmutating set { row[DomainRow.iommu] = newValue }
  }
  /// Whether transfers past the caches are kept off.
  var isCoherent: Bool {
    get { row[DomainRow.isCoherent] != 0 }
    nonmutating set { row[DomainRow.isCoherent] = newValue ? 1 : 0 }
  }
  /// Groups in it.
  var groups: Int {
    get { Int(row[DomainRow.groups]) }
    nonmutating set { row[DomainRow.groups] = UInt32(newValue) }
  }
}

/// A group of devices in a container (iommu_group): a handle to its row.
package struct AttachedGroup {
  let row: Row
  package let id: RowID

  /// The same while no other thread can reach the row.
  var unshared: AttachedGroup { AttachedGroup(row: row.unshared, id: id) }

  /// 1 while the row is in use.
  package var live: UInt32 { row[DeviceGroupRow.live] }
  /// The container it is in.
  package var container: RowID {
    get { row[DeviceGroupRow.container] }
    nonmutating set { row[DeviceGroupRow.container] = newValue }
  }
  /// The next group of the container.
  var next: RowID {
    get { row[DeviceGroupRow.next] }
    nonmutating set { row[DeviceGroupRow.next] = newValue }
  }
  /// The domain whose tables translate for it; none if it is emulated.
  package var domain: RowID {
    get { RowID(rawValue: row.atomic(DeviceGroupRow.domain).load()) }
    nonmutating set { row.atomic(DeviceGroupRow.domain).store(newValue.rawValue) }
  }

  private static let emulated: UInt32 = 1
  private static let coherent: UInt32 = 2

  /// What it is.
  package var description: DeviceDescription {
    get {
      let traits = row[DeviceGroupRow.traits]
      var reserved: [ClosedRange<UInt64>] = []
      for index in 0..<2 {
        let (first, last) = (
          row[DeviceGroupRow.reservedFirst, index], row[DeviceGroupRow.reservedLast, index]
        )
        if last > first { reserved.append(first...last) }
      }
      return DeviceDescription(
        name: row[DeviceGroupRow.name].description, iommu: row[DeviceGroupRow.iommu],
        aperture: row[DeviceGroupRow.first]...max(row[DeviceGroupRow.first], row[DeviceGroupRow.last]),
        reserved: reserved, pageSizes: row[DeviceGroupRow.pageSizes],
        isCoherent: traits & Self.coherent != 0, remapsInterrupts: true,
        isEmulated: traits & Self.emulated != 0)
    }
    nonmutating set {
      row[DeviceGroupRow.name] = ProcessName(newValue.name)
      row[DeviceGroupRow.iommu] = newValue.iommu
      row[DeviceGroupRow.traits] =
        (newValue.isEmulated ? Self.emulated : 0) | (newValue.isCoherent ? Self.coherent : 0)
      row[DeviceGroupRow.pageSizes] = newValue.pageSizes
      row[DeviceGroupRow.first] = newValue.aperture.lowerBound
      row[DeviceGroupRow.last] = newValue.aperture.upperBound
      for (index, window) in newValue.reserved.prefix(2).enumerated() {
        row[DeviceGroupRow.reservedFirst, index] = window.lowerBound
        row[DeviceGroupRow.reservedLast, index] = window.upperBound
      }
    }
  }
}

/// A mapping of a container (vfio_dma): a handle to its row.
package struct Mapping {
  let row: Row
  package let id: RowID

  /// The same while no other thread can reach the row.
  var unshared: Mapping { Mapping(row: row.unshared, id: id) }

  /// 1 while the row is in use.
  package var live: UInt32 { row[MappingRow.live] }
  /// The subtrees of lower and of higher addresses.
  var left: RowID {
    get { row[MappingRow.left] }
    nonmutating set { row[MappingRow.left] = newValue }
  }
  var right: RowID {
    get { row[MappingRow.right] }
    nonmutating set { row[MappingRow.right] = newValue }
  }
  /// What the device may do.
  package var access: DeviceAccess {
    get { row[MappingRow.access] }
    nonmutating set { row[MappingRow.access] = newValue }
  }
  /// The device's address.
  package var iova: UInt64 {
    get { row[MappingRow.iova] }
    nonmutating set { row[MappingRow.iova] = newValue }
  }
  /// Bytes; grows while pages are pinned and mapped.
  package var size: UInt64 {
    get { row[MappingRow.size] }
    nonmutating set { row[MappingRow.size] = newValue }
  }
  package var pages: Int { Int(size >> 12) }
  /// Where the memory is in the address space.
  package var address: VirtualAddress {
    get { VirtualAddress(rawValue: row[MappingRow.address]) }
    nonmutating set { row[MappingRow.address] = newValue.rawValue }
  }
  /// Pages charged to the space (vfio_dma.locked_vm).
  package var locked: Int {
    get { Int(row[MappingRow.locked]) }
    nonmutating set { row[MappingRow.locked] = UInt64(newValue) }
  }
  /// The limit of the process that mapped it when it was last looked at, in pages; the largest number if the process
  /// could lock memory then (lock_cap).
  var limit: UInt64 {
    get { row[MappingRow.limit] }
    nonmutating set { row[MappingRow.limit] = newValue }
  }
  /// The address space, which the mapping has grabbed.
  package var space: RowID {
    get { row[MappingRow.space] }
    nonmutating set { row[MappingRow.space] = newValue }
  }
  /// The process that mapped it, which may have ended.
  var owner: ProcessID {
    get { row[MappingRow.owner] }
    nonmutating set { row[MappingRow.owner] = newValue }
  }
  /// The ledger's record of its pins; none before there is a domain.
  package var pinned: RowID {
    get { row[MappingRow.pinned] }
    nonmutating set { row[MappingRow.pinned] = newValue }
  }
  /// Memory that mappings of IO address spaces share; none for one of VFIO.
  package var source: RowID {
    get { row[MappingRow.source] }
    nonmutating set { row[MappingRow.source] = newValue }
  }
  /// Where the mapping begins in it.
  package var firstPage: Int {
    get { Int(row[MappingRow.firstPage]) }
    nonmutating set { row[MappingRow.firstPage] = UInt64(newValue) }
  }
  /// The next mapping of that memory.
  var nextOfSource: RowID {
    get { row[MappingRow.nextOfSource] }
    nonmutating set { row[MappingRow.nextOfSource] = newValue }
  }
  /// Whether the domains translate it (iommu_mapped).
  package var isMapped: Bool {
    get { row[MappingRow.isMapped] != 0 }
    nonmutating set { row[MappingRow.isMapped] = newValue ? 1 : 0 }
  }
  /// Whether its address in the space has been taken away (vaddr_invalid).
  package var isInvalid: Bool {
    get { row[MappingRow.isInvalid] != 0 }
    nonmutating set { row[MappingRow.isInvalid] = newValue ? 1 : 0 }
  }
}
