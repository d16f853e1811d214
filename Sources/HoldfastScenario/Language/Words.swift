/// A closed set of words that a scenario may use in one place.
typealias ScenarioWord = CaseIterable & RawRepresentable<String> & Sendable

/// A zone of a node.
public enum ZoneName: String, Sendable, Hashable, Codable, CaseIterable {
  /// ZONE_DMA.
  case dma
  /// ZONE_DMA32.
  case dma32
  /// ZONE_NORMAL.
  case normal
  /// ZONE_MOVABLE.
  case movable
  /// ZONE_DEVICE.
  case device

  /// The kernel's spelling, as /proc/zoneinfo prints it.
  public var kernelName: String {
    switch self {
    case .dma: "DMA"
    case .dma32: "DMA32"
    case .normal: "Normal"
    case .movable: "Movable"
    case .device: "Device"
    }
  }
}

/// The mobility type of a pageblock.
public enum MigrateTypeWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// Kernel memory, and everything allocated in a pin scope.
  case unmovable
  /// What migration can move.
  case movable
  /// What shrinkers can free.
  case reclaimable
  /// Reserved for urgent allocations.
  case highatomic
  /// Lent out by a contiguous memory area.
  case cma
  /// Taken out of use by offlining or a contiguous allocation.
  case isolate
}

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

/// What a program may do with a region.
public enum ProtectionWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// PROT_NONE.
  case none
  /// PROT_READ.
  case r
  /// PROT_READ and PROT_WRITE.
  case rw
}

/// The madvise behaviours that a scenario can ask for.
public enum AdviceWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// MADV_DONTNEED.
  case dontneed
  /// MADV_POPULATE_READ.
  case populateRead = "populate-read"
  /// MADV_POPULATE_WRITE.
  case populateWrite = "populate-write"
  /// MADV_HUGEPAGE.
  case hugepage
  /// MADV_NOHUGEPAGE.
  case nohugepage
  /// MADV_PAGEOUT.
  case pageout
  /// MADV_COLD.
  case cold
  /// MADV_FREE.
  case free
  /// MADV_COLLAPSE.
  case collapse
  /// MADV_MERGEABLE.
  case mergeable
  /// MADV_UNMERGEABLE.
  case unmergeable
  /// MADV_DONTFORK.
  case dontfork
  /// MADV_DOFORK.
  case dofork
  /// MADV_REMOVE.
  case remove
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

/// The FOLL_ flags that a caller may give, the forbidden ones included.
///
/// `get` and `pin` belong to the entry points themselves; they can be written so that a scenario can show
/// how a kernel refuses them.
public enum PinFlag: String, Sendable, Hashable, Codable, CaseIterable {
  /// FOLL_WRITE.
  case write
  /// FOLL_TOUCH.
  case touch
  /// FOLL_GET.
  case get
  /// FOLL_DUMP.
  case dump
  /// FOLL_FORCE.
  case force
  /// FOLL_NOWAIT.
  case nowait
  /// FOLL_NOFAULT.
  case nofault
  /// FOLL_HWPOISON.
  case hwpoison
  /// FOLL_ANON.
  case anon
  /// FOLL_LONGTERM.
  case longterm
  /// FOLL_SPLIT_PMD.
  case splitPMD = "split-pmd"
  /// FOLL_PIN.
  case pin
}

/// Which of the get_user_pages or pin_user_pages functions is called.
public enum EntryPoint: String, Sendable, Hashable, Codable, CaseIterable {
  /// The lockless walk, with the slow path behind it.
  case fast
  /// The caller holds mmap_lock.
  case slow
  /// As slow, on another process's memory.
  case remote
  /// The function takes mmap_lock itself.
  case unlocked
  /// The lockless walk alone.
  case fastOnly = "fast-only"
}

/// What a pin is for: it decides what is charged, and which system call stands for it.
public enum PinPurpose: String, Sendable, Hashable, Codable, CaseIterable {
  /// Charges nothing; gup_test.
  case test
  /// Charges locked_vm; a VFIO DMA mapping.
  case vfio
  /// Charges pinned_vm; a registered buffer of io_uring.
  case ioUring = "io-uring"
  /// Charges pinned_vm; a memory region of an RDMA adapter.
  case rdma
  /// Charges nothing; a read or write with O_DIRECT.
  case directIO = "direct-io"
}

/// Words for an allocation's gfp mask: a base, then what is added to it.
public enum GfpWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// GFP_KERNEL.
  case kernel
  /// GFP_ATOMIC.
  case atomic
  /// GFP_USER.
  case user
  /// GFP_HIGHUSER.
  case highuser
  /// GFP_HIGHUSER_MOVABLE.
  case highuserMovable = "highuser-movable"
  /// GFP_TRANSHUGE.
  case transhuge
  /// __GFP_DMA.
  case dma
  /// __GFP_DMA32.
  case dma32
  /// __GFP_HIGHMEM.
  case highmem
  /// __GFP_MOVABLE.
  case movable
  /// __GFP_RECLAIMABLE.
  case reclaimable
  /// __GFP_ZERO.
  case zero
  /// __GFP_COMP.
  case compound
  /// __GFP_NOWARN.
  case nowarn
  /// __GFP_NORETRY.
  case noretry
  /// __GFP_RETRY_MAYFAIL.
  case retryMayfail = "retry-mayfail"
  /// __GFP_THISNODE.
  case thisnode

  /// The words that stand for a whole mask, one of which may come first.
  static let bases: Set<GfpWord> = [.kernel, .atomic, .user, .highuser, .highuserMovable, .transhuge]
}

/// What can be made to fail.
public enum FailurePoint: String, Sendable, Hashable, Codable, CaseIterable {
  /// Taking frames from the allocator.
  case allocation
  /// Taking a page off its LRU list.
  case isolation
  /// Copying a page to its new frame.
  case copy
  /// Charging RLIMIT_MEMLOCK.
  case memlock
  /// Taking a page's lock without waiting.
  case pageLock = "page-lock"
  /// Replacing a mapping of a page.
  case unmap
  /// Taking a row of a table: a mapping's, a pin's.
  case table
  /// Being alone with a page: a bystander has a reference while somebody compares the count.
  case reference
  /// A memory notifier's consent.
  case notifier
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

/// What may be said of a memory block.
public enum BlockState: String, Sendable, Hashable, Codable, CaseIterable {
  /// In use.
  case online
  /// Known, its memory not in use.
  case offline
  /// Being emptied.
  case goingOffline = "going-offline"
  /// Not there, or taken out.
  case absent
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
  /// Memory that cannot be moved is in the way.
  case unmovable
  /// A signal ended the wait.
  case signal
  /// A real kernel gave the errno, and does not say.
  case untold
}
