// The words that the language shares with the engine and with Linux. They are in every scenario, so importing
// the language alone has to bring them.
@_exported public import HoldfastWords

/// A closed set of words that a scenario may use in one place.
typealias ScenarioWord = CaseIterable & RawRepresentable<String> & Sendable

/// What backs a region.
public enum RegionKind: String, Sendable, Hashable, Codable, CaseIterable {
  /// Private anonymous memory.
  case `private`
  /// Shared anonymous memory.
  case shared
  /// A memfd, mapped shared.
  case memfd
  /// Private anonymous huge pages from the hugetlb pool.
  case hugetlb
  /// A memfd, mapped private.
  case memfdPrivate = "memfd-private"
  /// A file on a disk, mapped shared.
  case file
  /// A file on a disk, mapped private.
  case filePrivate = "file-private"
  /// A memfd of huge pages from the hugetlb pool, mapped shared.
  case hugetlbMemfd = "hugetlb-memfd"
  /// A memfd of huge pages from the hugetlb pool, mapped private.
  case hugetlbMemfdPrivate = "hugetlb-memfd-private"

  /// Whether the memory comes from the hugetlb pool.
  public var isHugetlb: Bool {
    switch self {
    case .hugetlb, .hugetlbMemfd, .hugetlbMemfdPrivate: true
    default: false
    }
  }
}

/// A load or a store.
public enum AccessWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// One load per page.
  case read
  /// One store per page that leaves the byte as it was.
  case write
}

/// What a device with page tables of its own can do; the kernel's test driver hmm_dmirror is one.
public enum DeviceAction: String, Sendable, Hashable, Codable, CaseIterable {
  /// make_device_exclusive_range: the CPU has to ask before it touches the pages again.
  case exclusive
  /// Fails with EPERM while the device has exclusive access.
  case checkExclusive = "check-exclusive"
  /// The device adds 1 to every byte, a page at a time; only while it has exclusive access, else ENOENT.
  case atomic
  /// migrate_vma into device-private memory.
  case migrateToDevice = "migrate-to"
  /// migrate_vma back.
  case migrateToSystem = "migrate-back"
  /// The device reads every page, faulting where it has to.
  case read
  /// The device writes every page, faulting where it has to.
  case write
  /// hmm_range_fault without faulting.
  case snapshot
}

/// By which interface a container of devices is opened.
public enum ContainerWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// VFIO_TYPE1v2_IOMMU: an unmap may not cut a mapping in two.
  case vfio
  /// VFIO_TYPE1_IOMMU: an unmap takes every mapping that begins in its range.
  case vfioV1 = "vfio-v1"
  /// An IO address space of iommufd, which charges the user.
  case iommufd
  /// The same, which charges the process (IOMMU_OPTION_RLIMIT_MODE).
  case iommufdByProcess = "iommufd-by-process"

  /// Whether it is iommufd's.
  public var isIOAddressSpace: Bool { self == .iommufd || self == .iommufdByProcess }
}

/// What a device may do with memory that is mapped for it.
public enum DeviceAccessWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// Read.
  case r
  /// Write.
  case w
  /// Both.
  case rw
}

/// Which queues `drain` empties.
public enum DrainTarget: String, Sendable, Hashable, Codable, CaseIterable {
  /// The per-CPU batches on their way to an LRU list.
  case lru
  /// The per-CPU lists of free frames.
  case pcp
}

/// A signal to another actor.
public enum SignalWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// SIGTERM with a handler: ends an offline, not a long-term pin.
  case term
  /// SIGKILL: ends everything the actor waits in.
  case kill
}

/// Where a step failed.
public enum FailureStage: String, Sendable, Hashable, Codable, CaseIterable {
  /// The arguments contradict each other or the machine.
  case argument
  /// No area there, or an area that forbids the access.
  case address
  /// Bringing a page in.
  case fault
  /// Taking a page off its list, or a pageblock out of use.
  case isolate
  /// Getting the page's lock.
  case lock
  /// Finding memory.
  case allocate
  /// Taking the page out of the page tables.
  case unmap
  /// Someone holds a reference that nothing explains.
  case references
  /// Copying.
  case copy
  /// Putting the page into the page tables.
  case remap
  /// RLIMIT_MEMLOCK.
  case account
  /// A count would overflow.
  case count
  /// Memory that cannot be moved prevents it.
  case unmovable
  /// A signal ended the wait.
  case signal
  /// A real kernel gave the errno, and does not say.
  case untold
}
