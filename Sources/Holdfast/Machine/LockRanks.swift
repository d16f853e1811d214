package import Interleaving

/// The order in which locks may be taken; a lock of a higher rank is taken later.
///
///     hotplug                         one for the machine; sleeping
///       contiguous                    one CMA or contiguous allocation at a time; sleeping
///         addressSpace                mmap lock, shared or exclusive; sleeping
///           page                      PG_locked, one bit of a page; sleeping (further ones only by trying)
///             object                  page cache and areas of a backing object
///               anonGroup             areas of an anonymous group
///                 pageTable           entries of one address space
///                   lruBatch          one processor's batch
///                     lru             one node's lists
///                       perCPU        one processor's free lists in a zone
///                         zone        free lists, pageblock types, counts
///                           tables    free rows of the tables
///                           ledger    pin records
///                           cma       bitmap of an area
///                           hugetlb   pools of huge pages
///
/// A page lock got by trying may be taken at any place. `zone` is never held while anything but the last three
/// is taken.
package enum Ranks {
  package static let hotplug = LockRank(rawValue: 1)
  package static let contiguous = LockRank(rawValue: 2)
  package static let addressSpace = LockRank(rawValue: 3)
  package static let page = LockRank(rawValue: 4)
  package static let object = LockRank(rawValue: 5)
  package static let anonGroup = LockRank(rawValue: 6)
  package static let pageTable = LockRank(rawValue: 7)
  package static let lruBatch = LockRank(rawValue: 8)
  package static let lru = LockRank(rawValue: 9)
  package static let perCPU = LockRank(rawValue: 10)
  package static let zone = LockRank(rawValue: 11)
  package static let tables = LockRank(rawValue: 12)
  package static let ledger = LockRank(rawValue: 13)
  package static let cma = LockRank(rawValue: 14)
  package static let hugetlb = LockRank(rawValue: 15)
}
