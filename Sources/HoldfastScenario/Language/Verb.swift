/// What a step does.
///
/// Each case is one system call, sysfs or debugfs write, or driver call on a real kernel;
/// `Documentation/Scenarios.md` has the table.
public enum Verb: Sendable, Equatable {
  /// mmap.
  case map(Map)
  /// munmap.
  case unmap(RegionRange)
  /// mprotect.
  case protect(RegionRange, ProtectionWord)
  /// madvise.
  case advise(RegionRange, Advice)
  /// One load or store per page.
  case touch(RegionRange, AccessWord)
  /// Stores a pattern, by the CPU or by the device that holds a pin.
  case write(ContentTarget, Pattern)
  /// Compares with a pattern what the CPU, or the device that holds a pin, reads.
  case check(ContentTarget, Pattern)
  /// get_user_pages: ordinary references.
  case get(Grab)
  /// put_page of every reference of a `get`.
  case put(reference: String)
  /// pin_user_pages.
  case pin(Grab, purpose: PinPurpose)
  /// unpin_user_pages.
  case unpin(Unpin)
  /// memalloc_pin_save, remembering the old state by name.
  case scopeSave(name: String)
  /// memalloc_pin_restore of a remembered state.
  case scopeRestore(name: String)
  /// alloc_pages: frames of the kernel's own.
  case allocate(Allocate)
  /// __free_pages of what `allocate` took: allocations number 0, every, 2 x every, ...
  case free(frames: String, every: Int)
  /// cma_alloc.
  case allocateContiguous(AllocateContiguous)
  /// cma_release.
  case releaseContiguous(frames: String)
  /// Another kernel path takes the pages off their LRU lists.
  case isolate(name: String?, RegionRange)
  /// And puts them back.
  case putback(isolation: String)
  /// Empties per-CPU queues.
  case drain(DrainTarget)
  /// Compacts a node, or all.
  case compact(node: Int?)
  /// move_pages to a node.
  case migrate(RegionRange, node: Int)
  /// Offlines memory blocks.
  case offline(Offline)
  /// Onlines memory blocks.
  case online(BlockSelection, OnlineKind)
  /// Hot-adds memory blocks, offline.
  case add(blocks: Int, node: Int)
  /// Hot-removes offline memory blocks.
  case remove(BlockSelection)
  /// The process exits.
  case exit
  /// kill.
  case signal(actor: String, SignalWord)
  /// Makes the next chances at something fail.
  case fail(Fail)
  /// Dumps the state of the pages, as the kernel's dump_page does.
  case dump(RegionRange)
  /// setrlimit(RLIMIT_MEMLOCK).
  case limit(MemlockLimit)
  /// fork: the named actor is the child.
  case fork(actor: String)
  /// mremap to an address elsewhere.
  case remap(RegionRange)
  /// mlock.
  case lock(RegionRange)
  /// munlock.
  case unlock(RegionRange)
  /// Splits the transparent huge pages of a range.
  case split(RegionRange)
  /// Clears the soft-dirty bits of the process.
  case clearRefs
  /// Lets ksmd scan everything twice.
  case ksm
  /// What a device with page tables of its own does to a range.
  case device(DeviceAction, RegionRange)
  /// Opens a container of devices, as of VFIO.
  case container(name: String, ContainerWord)
  /// Puts a device into a container.
  case attach(Attach)
  /// Takes a device out of its container.
  case detach(device: String)
  /// Lets the devices of a container reach memory (VFIO_IOMMU_MAP_DMA).
  case dmaMap(DMAMap)
  /// Maps what is mapped in one IO address space in another one (IOMMU_IOAS_COPY).
  case dmaCopy(DMACopy)
  /// Ends that for a range of their addresses, or for all (VFIO_IOMMU_UNMAP_DMA).
  case dmaUnmap(container: String, DeviceRange?)

  /// A region, or a part of one.
  public struct RegionRange: Sendable, Hashable {
    /// The region's name.
    public var region: String
    /// From the region's start.
    public var offset: MemorySize
    /// To the region's end if nil.
    public var size: MemorySize?
  }

  /// Where a region gets its extent from.
  public enum RegionSource: Sendable, Equatable {
    /// New memory of this size.
    case size(MemorySize)
    /// The memory object of another region, mapped again.
    case backing(region: String, offset: MemorySize, size: MemorySize?)
    /// The areas and resident pages of a live process.
    case like(process: Int)
  }

  /// A new mapping.
  public struct Map: Sendable, Equatable {
    /// The name it gets.
    public var region: String
    /// Its extent.
    public var source: RegionSource
    /// What backs it; that of the other region where it maps one again.
    public var kind: RegionKind
    /// MAP_POPULATE.
    public var populate: Bool
    /// The protection it starts with.
    public var protection: ProtectionWord
    /// Advice given before the first touch: `hugepage` or `nohugepage`.
    public var advice: Advice?
  }

  /// Whose eyes see the bytes.
  public enum ContentTarget: Sendable, Equatable {
    /// The CPU, through the region's addresses.
    case region(RegionRange)
    /// The device, through the frames of a pin.
    case pin(Held)
    /// The holder of the references of a `get`, through their frames.
    case references(Held)
    /// A device of a container, at its own addresses.
    case device(name: String, DeviceRange)

    /// A pin or references, or a part of them.
    public struct Held: Sendable, Hashable {
      /// The name that they have.
      public var name: String
      /// From the first page.
      public var offset: MemorySize
      /// To the last page if nil.
      public var size: MemorySize?
    }

    /// The region, where the CPU looks.
    public var range: RegionRange? {
      if case .region(let range) = self { range } else { nil }
    }
  }

  /// Addresses of a device.
  public struct DeviceRange: Sendable, Hashable {
    /// The first.
    public var iova: MemorySize
    /// How much.
    public var size: MemorySize
  }

  /// A device that comes into a container.
  public struct Attach: Sendable, Equatable {
    /// The name by which it transfers and is detached.
    public var name: String
    /// The container.
    public var container: String
    /// Which IOMMU it is behind.
    public var iommu: Int
    /// Where the addresses end that its IOMMU translates; as far as page tables reach if nil.
    public var aperture: MemorySize?
    /// Whether a driver does its transfers.
    public var isEmulated: Bool
  }

  /// Memory that the devices of a container are to reach.
  public struct DMAMap: Sendable, Equatable {
    /// The name by which it is looked at and unmapped; by its addresses alone if nil.
    public var name: String?
    /// The container.
    public var container: String
    /// The memory.
    public var range: RegionRange
    /// Where the devices see it; where there is room if nil.
    public var iova: MemorySize?
    /// Whether the memory file is mapped, and no address space (IOMMU_IOAS_MAP_FILE).
    public var isFile: Bool
    /// What they may do with it.
    public var access: DeviceAccessWord
  }

  /// What is mapped in one IO address space, mapped in another one.
  public struct DMACopy: Sendable, Equatable {
    /// The name by which it is looked at and unmapped; by its addresses alone if nil.
    public var name: String?
    /// Where it is mapped.
    public var source: String
    /// The addresses there.
    public var range: DeviceRange
    /// Where it is mapped as well.
    public var target: String
    /// The addresses there; where there is room if nil.
    public var iova: MemorySize?
    /// What devices may do with it.
    public var access: DeviceAccessWord
  }

  /// References taken through addresses.
  public struct Grab: Sendable, Equatable {
    /// The name by which they are given back; never given back if nil.
    public var name: String?
    /// Where.
    public var range: RegionRange
    /// In file order, without repetition.
    public var flags: [PinFlag]
    /// The function.
    public var entry: PinEntry
  }

  /// Pins given back.
  public struct Unpin: Sendable, Equatable {
    /// The pin's name.
    public var pin: String
    /// From the pin's start.
    public var offset: MemorySize
    /// To the pin's end if nil.
    public var size: MemorySize?
    /// Whether the pages are marked dirty on the way.
    public var dirty: Bool
  }

  /// Frames for the kernel itself.
  public struct Allocate: Sendable, Equatable {
    /// The name by which they are given back; never given back if nil.
    public var name: String?
    /// 2^order frames each.
    public var order: Int
    /// How many allocations.
    public var count: Int
    /// A base word at most, then additions.
    public var gfp: [GFPWord]
    /// The preferred node.
    public var node: Int?
  }

  /// Frames from a contiguous memory area.
  public struct AllocateContiguous: Sendable, Equatable {
    /// The name by which they are given back; never given back if nil.
    public var name: String?
    /// The area.
    public var area: String
    /// How much.
    public var size: MemorySize
    /// The first frame is a multiple of 2^order.
    public var alignOrder: Int
  }

  /// Which memory blocks.
  public struct BlockSelection: Sendable, Equatable {
    /// How they are picked.
    public enum Pick: Sendable, Hashable {
      /// All that lie in the zone with every page.
      case whole
      /// All, those that the zone shares with a hole or with another zone too.
      case all
      /// This many: those with the most free pages first, the higher first among equals.
      case count(Int)
      /// By number.
      case indices([Int])
    }
    /// How they are picked.
    public var pick: Pick
    /// Only blocks of this zone.
    public var zone: ZoneKind?
    /// Only blocks of this node.
    public var node: Int?
  }

  /// Offlining, one block after the other.
  public struct Offline: Sendable, Equatable {
    /// The blocks.
    public var blocks: BlockSelection
    /// Passes over one block after which a signal ends the wait.
    public var passes: Int
  }

  /// An injected failure.
  public struct Fail: Sendable, Equatable {
    /// What fails.
    public var point: FailurePoint
    /// How many chances in a row fail.
    public var count: Int
    /// How many chances succeed before.
    public var skip: Int
  }
}

extension Verb {
  /// The names of the verbs as a scenario writes them.
  public enum Word: String, Sendable, Hashable, Codable, CaseIterable {
    /// See the case of `Verb` of the same name.
    case map, unmap, protect, advise, touch, write, check, get, put, pin, unpin, scope
    /// See the case of `Verb` of the same name.
    case allocate, free
    /// See `allocateContiguous`.
    case cmaAllocate = "cma-alloc"
    /// See `releaseContiguous`.
    case cmaRelease = "cma-release"
    /// See the case of `Verb` of the same name.
    case isolate, putback, drain, compact, migrate, offline, online, add, remove, exit, signal, fail, dump,
      limit
    /// See the case of `Verb` of the same name.
    case fork, remap, lock, unlock, split, ksm, device
    /// See the case of `Verb` of the same name.
    case container, attach, detach
    /// See the case of `Verb` of the same name.
    case dmaMap = "dma-map"
    /// See the case of `Verb` of the same name.
    case dmaCopy = "dma-copy"
    /// See the case of `Verb` of the same name.
    case dmaUnmap = "dma-unmap"
    /// See the case of `Verb` of the same name.
    case clearRefs = "clear-refs"
  }

  /// The verb's name.
  public var word: Word {
    switch self {
    case .map: .map
    case .unmap: .unmap
    case .protect: .protect
    case .advise: .advise
    case .touch: .touch
    case .write: .write
    case .check: .check
    case .get: .get
    case .put: .put
    case .pin: .pin
    case .unpin: .unpin
    case .scopeSave, .scopeRestore: .scope
    case .allocate: .allocate
    case .free: .free
    case .allocateContiguous: .cmaAllocate
    case .releaseContiguous: .cmaRelease
    case .isolate: .isolate
    case .putback: .putback
    case .drain: .drain
    case .compact: .compact
    case .migrate: .migrate
    case .offline: .offline
    case .online: .online
    case .add: .add
    case .remove: .remove
    case .exit: .exit
    case .signal: .signal
    case .fail: .fail
    case .dump: .dump
    case .limit: .limit
    case .fork: .fork
    case .remap: .remap
    case .lock: .lock
    case .unlock: .unlock
    case .split: .split
    case .clearRefs: .clearRefs
    case .ksm: .ksm
    case .device: .device
    case .container: .container
    case .attach: .attach
    case .detach: .detach
    case .dmaMap: .dmaMap
    case .dmaCopy: .dmaCopy
    case .dmaUnmap: .dmaUnmap
    }
  }
}
