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
  case noWait = "nowait"
  /// FOLL_NOFAULT.
  case noFault = "nofault"
  /// FOLL_HWPOISON.
  case hwpoison
  /// FOLL_ANON.
  case anonymous = "anon"
  /// FOLL_LONGTERM.
  case longterm
  /// FOLL_SPLIT_PMD.
  case splitPMD = "split-pmd"
  /// FOLL_PIN.
  case pin

  /// Its bit.
  public var flags: PinFlags {
    switch self {
    case .write: .write
    case .touch: .touch
    case .get: .get
    case .dump: .dump
    case .force: .force
    case .noWait: .noWait
    case .noFault: .noFault
    case .hwpoison: .hwpoison
    case .anonymous: .anonymous
    case .longterm: .longterm
    case .splitPMD: .splitPMD
    case .pin: .pin
    }
  }
}

/// FOLL_* flags, with the bits of Linux 6.1 (include/linux/mm.h).
@frozen
public struct PinFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Flags with those bits.
  @inlinable @inline(__always)
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// All of these.
  public init(_ flags: [PinFlag]) {
    self = []
    for flag in flags { formUnion(flag.flags) }
  }

  // Computed, so that another module reads a constant without a call.

  /// FOLL_WRITE: the mapping must be writable; copy-on-write is broken.
  @inlinable public static var write: PinFlags { PinFlags(rawValue: 0x1) }
  /// FOLL_TOUCH: mark accessed, and dirty with `write`.
  @inlinable public static var touch: PinFlags { PinFlags(rawValue: 0x2) }
  /// FOLL_GET: take ordinary references.
  @inlinable public static var get: PinFlags { PinFlags(rawValue: 0x4) }
  /// FOLL_DUMP: an error for holes and the zero page.
  @inlinable public static var dump: PinFlags { PinFlags(rawValue: 0x8) }
  /// FOLL_FORCE: ignore the area's protection, as ptrace does.
  @inlinable public static var force: PinFlags { PinFlags(rawValue: 0x10) }
  /// FOLL_NOWAIT: do not wait for I/O.
  @inlinable public static var noWait: PinFlags { PinFlags(rawValue: 0x20) }
  /// FOLL_NOFAULT: never fault.
  @inlinable public static var noFault: PinFlags { PinFlags(rawValue: 0x80) }
  /// FOLL_HWPOISON: report poisoned pages as such.
  @inlinable public static var hwpoison: PinFlags { PinFlags(rawValue: 0x100) }
  /// FOLL_TRIED: second attempt.
  @inlinable public static var tried: PinFlags { PinFlags(rawValue: 0x800) }
  /// FOLL_REMOTE: the address space is not the caller's.
  @inlinable public static var remote: PinFlags { PinFlags(rawValue: 0x2000) }
  /// FOLL_ANON: anonymous areas only.
  @inlinable public static var anonymous: PinFlags { PinFlags(rawValue: 0x8000) }
  /// FOLL_LONGTERM: the pin may be held for an indefinite time.
  @inlinable public static var longterm: PinFlags { PinFlags(rawValue: 0x10000) }
  /// FOLL_SPLIT_PMD: split a PMD mapping first.
  @inlinable public static var splitPMD: PinFlags { PinFlags(rawValue: 0x20000) }
  /// FOLL_PIN: the page is for DMA; only the pin entry points set it.
  @inlinable public static var pin: PinFlags { PinFlags(rawValue: 0x40000) }
  /// FOLL_FAST_ONLY: no slow path.
  @inlinable public static var fastOnly: PinFlags { PinFlags(rawValue: 0x80000) }
}

/// The ways in: which of the get_user_pages and pin_user_pages family a call stands for.
@frozen
public enum PinEntry: String, Sendable, Hashable, Codable, CaseIterable {
  /// get_user_pages_fast, pin_user_pages_fast: lockless first, then slow.
  case fast
  /// get_user_pages, pin_user_pages: the address space's lock is held for the whole call.
  case slow
  /// get_user_pages_remote, pin_user_pages_remote: another process's memory.
  case remote
  /// get_user_pages_unlocked, pin_user_pages_unlocked: the lock may be dropped and taken again.
  case unlocked
  /// get_user_pages_fast_only, pin_user_pages_fast_only: lockless or nothing.
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

  /// Whom the pages are charged for.
  public var accounting: PinAccounting {
    switch self {
    case .vfio: .locked
    case .rdma: .pinned
    case .ioUring: .registered
    case .test, .directIO: .none
    }
  }
}

/// Who keeps the pages that it pins, and so has them charged to the owner of the memory.
///
/// Each of them wants a range whole: what cannot be pinned to its end is not pinned at all.
@frozen
public enum PinAccounting: UInt32, Sendable, Hashable {
  /// No driver: get_user_pages and pin_user_pages themselves, which may give fewer pages than asked for.
  case none
  /// VFIO: every page but the zero page, charged to locked_vm (VmLck) as it is pinned.
  case locked
  /// RDMA: every page, charged to pinned_vm (VmPin) before it is pinned.
  case pinned
  /// io_uring: every folio whole and once, charged to its user's locked memory and to pinned_vm (VmPin).
  case registered
}
