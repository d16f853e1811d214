public import Interleaving

/// The order in which locks may be taken; a lock of a higher rank is taken later.
///
///     iommu                                 one container of devices and what is mapped for them; sleeping
///       sharedMemory                        memory that mappings of several IO address spaces share; sleeping
///         hotplug                           one for the machine; sleeping
///           contiguous                      one CMA or contiguous allocation at a time; sleeping
///             addressSpace                  mmap lock, shared or exclusive; sleeping
///               hugetlbFault                faults on a huge page, which share a lock by a hash; sleeping
///                 page                      PG_locked, one bit of a page; sleeping (further ones only by trying)
///                   object                  page cache and areas of a backing object
///                     anonGroup             areas of an anonymous group
///                       pageTable           entries of one address space, or of one domain of devices
///                         childPageTable    the same of a child, while its parent forks it
///                           mirror          what one device has of one address space
///                           lruBatch        one processor's batch
///                             lru           one node's lists
///                               perCPU      one processor's free lists in a zone
///                                 zone      free lists, pageblock types, counts
///                                   tables  free rows of the tables
///                                   ledger  pin records
///                                   cma     bitmap of an area
///                                   hugetlb pools of huge pages
///
/// A page lock got by trying may be taken at any place. What is checked is the number: a lock is taken only
/// while those held have lower ranks. That the last four do not nest in each other is not checked. `tables` is
/// taken under `zone` when a deferred section gets its bytes.
extension LockRank {
  @inlinable @_transparent package static var iommu: LockRank { LockRank(rawValue: 1) }
  @inlinable @_transparent package static var sharedMemory: LockRank { LockRank(rawValue: 2) }
  @inlinable @_transparent package static var hotplug: LockRank { LockRank(rawValue: 3) }
  @inlinable @_transparent package static var contiguous: LockRank { LockRank(rawValue: 4) }
  @inlinable @_transparent package static var addressSpace: LockRank { LockRank(rawValue: 5) }
  @inlinable @_transparent package static var hugetlbFault: LockRank { LockRank(rawValue: 6) }
  @inlinable @_transparent package static var page: LockRank { LockRank(rawValue: 7) }
  @inlinable @_transparent package static var object: LockRank { LockRank(rawValue: 8) }
  @inlinable @_transparent package static var anonGroup: LockRank { LockRank(rawValue: 9) }
  @inlinable @_transparent package static var pageTable: LockRank { LockRank(rawValue: 10) }
  @inlinable @_transparent package static var childPageTable: LockRank { LockRank(rawValue: 11) }
  @inlinable @_transparent package static var mirror: LockRank { LockRank(rawValue: 12) }
  @inlinable @_transparent package static var lruBatch: LockRank { LockRank(rawValue: 13) }
  @inlinable @_transparent package static var lru: LockRank { LockRank(rawValue: 14) }
  @inlinable @_transparent package static var perCPU: LockRank { LockRank(rawValue: 15) }
  @inlinable @_transparent package static var zone: LockRank { LockRank(rawValue: 16) }
  @inlinable @_transparent package static var tables: LockRank { LockRank(rawValue: 17) }
  @inlinable @_transparent package static var ledger: LockRank { LockRank(rawValue: 18) }
  @inlinable @_transparent package static var cma: LockRank { LockRank(rawValue: 19) }
  @inlinable @_transparent package static var hugetlb: LockRank { LockRank(rawValue: 20) }
}
