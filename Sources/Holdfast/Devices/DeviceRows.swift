public import Interleaving

/// The layout of a container's row.
@usableFromInline
package enum ContainerRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> { live.next("lock", .lock(.iommu)) }
  @inlinable @_transparent package static var kind: Field<UInt32> { lock.next("kind", .immutable) }
  @inlinable @_transparent package static var root: Field<RowID> {
    kind.next("root of the mappings", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var available: Field<UInt32> {
    root.next("mappings left", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var firstDomain: Field<RowID> {
    available.next("first domain", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var firstGroup: Field<RowID> {
    firstDomain.next("first group", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var invalid: Field<UInt32> {
    firstGroup.next("mappings without an address", .guarded(by: .iommu))
  }

  @inlinable @_transparent package static var accounting: Field<UInt32> {
    invalid.next("accounting", .immutable)
  }

  @inlinable @_transparent package static var stride: Int { accounting.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] {
    [live, lock, kind, root, available, firstDomain, firstGroup, invalid, accounting]
  }
}

/// The layout of a domain's row.
@usableFromInline
package enum DomainRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> {
    live.next("lock", .lock(.pageTable))
  }
  @inlinable @_transparent package static var rootTable: Field<RowID> { lock.next("root table", .immutable) }
  @inlinable @_transparent package static var next: Field<RowID> {
    rootTable.next("next domain", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var pageSizes: Field<UInt64> {
    next.next("page sizes", .immutable)
  }
  @inlinable @_transparent package static var first: Field<UInt64> {
    pageSizes.next("first address", .immutable)
  }
  @inlinable @_transparent package static var last: Field<UInt64> { first.next("last address", .immutable) }
  @inlinable @_transparent package static var iommu: Field<UInt32> { last.next("IOMMU", .immutable) }
  @inlinable @_transparent package static var isCoherent: Field<UInt32> {
    iommu.next("is coherent", .immutable)
  }
  @inlinable @_transparent package static var groups: Field<UInt32> {
    isCoherent.next("groups", .guarded(by: .iommu))
  }

  @inlinable @_transparent package static var stride: Int { groups.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] {
    [live, lock, rootTable, next, pageSizes, first, last, iommu, isCoherent, groups]
  }
}

/// The layout of the row of a group of devices.
@usableFromInline
package enum DeviceGroupRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var container: Field<RowID> { live.next("container", .immutable) }
  @inlinable @_transparent package static var next: Field<RowID> {
    container.next("next group", .guarded(by: .iommu))
  }
  // A device that transfers looks it up without a lock.
  @inlinable @_transparent package static var domain: Field<RowID> {
    next.next("domain", .atomic(writtenUnder: .iommu))
  }
  @inlinable @_transparent package static var iommu: Field<UInt32> { domain.next("IOMMU", .immutable) }
  @inlinable @_transparent package static var traits: Field<UInt32> { iommu.next("traits", .immutable) }
  @inlinable @_transparent package static var pageSizes: Field<UInt64> {
    traits.next("page sizes", .immutable)
  }
  @inlinable @_transparent package static var first: Field<UInt64> {
    pageSizes.next("first address", .immutable)
  }
  @inlinable @_transparent package static var last: Field<UInt64> { first.next("last address", .immutable) }
  @inlinable @_transparent package static var name: Field<ProcessName> { last.next("name", .immutable) }
  @inlinable @_transparent package static var reservedFirst: FieldArray<UInt64> {
    name.next("first address of reserved window", .immutable, count: 2)
  }
  @inlinable @_transparent package static var reservedLast: FieldArray<UInt64> {
    reservedFirst.next("last address of reserved window", .immutable, count: 2)
  }

  @inlinable @_transparent package static var stride: Int { reservedLast.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] {
    [
      live, container, next, domain, iommu, traits, pageSizes, first, last, name, reservedFirst,
      reservedLast,
    ]
  }
}

/// The layout of the row of a mapping.
@usableFromInline
package enum MappingRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var left: Field<RowID> {
    live.next("left mapping", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var right: Field<RowID> {
    left.next("right mapping", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var access: Field<DeviceAccess> {
    right.next("access", .immutable)
  }
  @inlinable @_transparent package static var iova: Field<UInt64> { access.next("address", .immutable) }
  @inlinable @_transparent package static var size: Field<UInt64> {
    iova.next("size", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var address: Field<UInt64> {
    size.next("address in the space", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var locked: Field<UInt64> {
    address.next("charged pages", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var limit: Field<UInt64> {
    locked.next("memlock limit", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var space: Field<RowID> {
    limit.next("space", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var owner: Field<ProcessID> {
    space.next("owner", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var pinned: Field<RowID> {
    owner.next("pin record", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var isMapped: Field<UInt32> {
    pinned.next("is in the domains", .guarded(by: .iommu))
  }
  @inlinable @_transparent package static var isInvalid: Field<UInt32> {
    isMapped.next("has no address", .guarded(by: .iommu))
  }

  // Of an IO address space.
  @inlinable @_transparent package static var source: Field<RowID> {
    isInvalid.next("shared memory", .immutable)
  }
  @inlinable @_transparent package static var firstPage: Field<UInt64> {
    source.next("first page of the shared memory", .immutable)
  }
  @inlinable @_transparent package static var nextOfSource: Field<RowID> {
    firstPage.next("next mapping of the shared memory", .guarded(by: .sharedMemory))
  }

  @inlinable @_transparent package static var stride: Int { nextOfSource.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] {
    [
      live, left, right, access, iova, size, address, locked, limit, space, owner, pinned, isMapped,
      isInvalid, source, firstPage, nextOfSource,
    ]
  }
}
