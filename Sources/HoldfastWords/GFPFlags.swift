/// Words for an allocation's gfp mask: a base, then what is added to it.
public enum GFPWord: String, Sendable, Hashable, Codable, CaseIterable {
  /// GFP_KERNEL.
  case kernel
  /// GFP_ATOMIC.
  case atomic
  /// GFP_USER.
  case user
  /// GFP_HIGHUSER.
  case highUser = "highuser"
  /// GFP_HIGHUSER_MOVABLE.
  case highUserMovable = "highuser-movable"
  /// GFP_TRANSHUGE.
  case transhuge
  /// __GFP_DMA.
  case dma
  /// __GFP_DMA32.
  case dma32
  /// __GFP_HIGHMEM.
  case highMem = "highmem"
  /// __GFP_MOVABLE.
  case movable
  /// __GFP_RECLAIMABLE.
  case reclaimable
  /// __GFP_ZERO.
  case zero
  /// __GFP_COMP.
  case compound
  /// __GFP_NOWARN.
  case noWarn = "nowarn"
  /// __GFP_NORETRY.
  case noRetry = "noretry"
  /// __GFP_RETRY_MAYFAIL.
  case retryMayFail = "retry-mayfail"
  /// __GFP_THISNODE.
  case thisNode = "thisnode"

  /// Its bits.
  public var flags: GFPFlags {
    switch self {
    case .kernel: .kernel
    case .atomic: .atomic
    case .user: .user
    case .highUser: .highUser
    case .highUserMovable: .highUserMovable
    case .transhuge: .transhuge
    case .dma: .dma
    case .dma32: .dma32
    case .highMem: .highMem
    case .movable: .movable
    case .reclaimable: .reclaimable
    case .zero: .zero
    case .compound: .compound
    case .noWarn: .noWarn
    case .noRetry: .noRetry
    case .retryMayFail: .retryMayFail
    case .thisNode: .thisNode
    }
  }

  /// Whether the word stands for a whole mask, one of which may come first.
  public var isBase: Bool {
    switch self {
    case .kernel, .atomic, .user, .highUser, .highUserMovable, .transhuge: true
    default: false
    }
  }
}

/// GFP_* flags: what an allocation may do and where it may go, with the bits of Linux 6.1.
@frozen
public struct GFPFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt32

  /// Flags with those bits.
  @inlinable @inline(__always)
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// All that these words say.
  public init(_ words: [GFPWord]) {
    self = []
    for word in words { formUnion(word.flags) }
  }

  /// __GFP_DMA: ZONE_DMA.
  @inlinable public static var dma: GFPFlags { GFPFlags(rawValue: 0x01) }
  /// __GFP_HIGHMEM: with `movable`, ZONE_MOVABLE; alone nothing on x86-64.
  @inlinable public static var highMem: GFPFlags { GFPFlags(rawValue: 0x02) }
  /// __GFP_DMA32: ZONE_DMA32 and below.
  @inlinable public static var dma32: GFPFlags { GFPFlags(rawValue: 0x04) }
  /// __GFP_MOVABLE: the page can be migrated.
  @inlinable public static var movable: GFPFlags { GFPFlags(rawValue: 0x08) }
  /// __GFP_RECLAIMABLE: a cache that can be shrunk.
  @inlinable public static var reclaimable: GFPFlags { GFPFlags(rawValue: 0x10) }
  /// __GFP_HIGH: half of the min watermark may be used.
  @inlinable public static var high: GFPFlags { GFPFlags(rawValue: 0x20) }
  /// __GFP_IO: reclaim may start I/O.
  @inlinable public static var io: GFPFlags { GFPFlags(rawValue: 0x40) }
  /// __GFP_FS: reclaim may call into file systems.
  @inlinable public static var fs: GFPFlags { GFPFlags(rawValue: 0x80) }
  /// __GFP_ZERO: the contents are zeros.
  @inlinable public static var zero: GFPFlags { GFPFlags(rawValue: 0x100) }
  /// __GFP_ATOMIC.
  @inlinable public static var atomicContext: GFPFlags { GFPFlags(rawValue: 0x200) }
  /// __GFP_DIRECT_RECLAIM: the caller may compact and wait.
  @inlinable public static var directReclaim: GFPFlags { GFPFlags(rawValue: 0x400) }
  /// __GFP_KSWAPD_RECLAIM.
  @inlinable public static var kswapdReclaim: GFPFlags { GFPFlags(rawValue: 0x800) }
  /// __GFP_NOWARN.
  @inlinable public static var noWarn: GFPFlags { GFPFlags(rawValue: 0x2000) }
  /// __GFP_RETRY_MAYFAIL.
  @inlinable public static var retryMayFail: GFPFlags { GFPFlags(rawValue: 0x4000) }
  /// __GFP_NOFAIL: the reserves may be used before giving up.
  @inlinable public static var noFail: GFPFlags { GFPFlags(rawValue: 0x8000) }
  /// __GFP_NORETRY: give up early.
  @inlinable public static var noRetry: GFPFlags { GFPFlags(rawValue: 0x1_0000) }
  /// __GFP_COMP: a folio with a head and tails, if of order 1 or more.
  @inlinable public static var compound: GFPFlags { GFPFlags(rawValue: 0x4_0000) }
  /// __GFP_NOMEMALLOC: no reserves.
  @inlinable public static var noMemalloc: GFPFlags { GFPFlags(rawValue: 0x8_0000) }
  /// __GFP_HARDWALL.
  @inlinable public static var hardwall: GFPFlags { GFPFlags(rawValue: 0x10_0000) }
  /// __GFP_THISNODE: the given node only.
  @inlinable public static var thisNode: GFPFlags { GFPFlags(rawValue: 0x20_0000) }

  /// __GFP_RECLAIM: both reclaim bits.
  @inlinable public static var reclaim: GFPFlags { GFPFlags(rawValue: 0xc00) }
  /// GFP_KERNEL.
  @inlinable public static var kernel: GFPFlags { GFPFlags(rawValue: 0xcc0) }
  /// GFP_ATOMIC.
  @inlinable public static var atomic: GFPFlags { GFPFlags(rawValue: 0xa20) }
  /// GFP_NOWAIT.
  @inlinable public static var noWait: GFPFlags { GFPFlags(rawValue: 0x800) }
  /// GFP_USER.
  @inlinable public static var user: GFPFlags { GFPFlags(rawValue: 0x10_0cc0) }
  /// GFP_HIGHUSER.
  @inlinable public static var highUser: GFPFlags { GFPFlags(rawValue: 0x10_0cc2) }
  /// GFP_HIGHUSER_MOVABLE: pages of user memory and of the page cache.
  @inlinable public static var highUserMovable: GFPFlags { GFPFlags(rawValue: 0x10_0cca) }
  /// GFP_TRANSHUGE_LIGHT.
  @inlinable public static var transhugeLight: GFPFlags { GFPFlags(rawValue: 0x1c_20ca) }
  /// GFP_TRANSHUGE.
  @inlinable public static var transhuge: GFPFlags { GFPFlags(rawValue: 0x1c_24ca) }
}

extension GFPFlags: CustomStringConvertible {
  /// Composites and single flags by the kernel's names, joined by bars as in its log.
  public var description: String {
    let names: [(GFPFlags, String)] = [
      (.transhuge, "GFP_TRANSHUGE"), (.transhugeLight, "GFP_TRANSHUGE_LIGHT"),
      (.highUserMovable, "GFP_HIGHUSER_MOVABLE"), (.highUser, "GFP_HIGHUSER"), (.user, "GFP_USER"),
      (.kernel, "GFP_KERNEL"), (.atomic, "GFP_ATOMIC"), (.reclaim, "__GFP_RECLAIM"), (.dma, "__GFP_DMA"),
      (.highMem, "__GFP_HIGHMEM"), (.dma32, "__GFP_DMA32"), (.movable, "__GFP_MOVABLE"),
      (.reclaimable, "__GFP_RECLAIMABLE"), (.high, "__GFP_HIGH"), (.io, "__GFP_IO"), (.fs, "__GFP_FS"),
      (.zero, "__GFP_ZERO"), (.atomicContext, "__GFP_ATOMIC"), (.directReclaim, "__GFP_DIRECT_RECLAIM"),
      (.kswapdReclaim, "__GFP_KSWAPD_RECLAIM"), (.noWarn, "__GFP_NOWARN"),
      (.retryMayFail, "__GFP_RETRY_MAYFAIL"), (.noFail, "__GFP_NOFAIL"), (.noRetry, "__GFP_NORETRY"),
      (.compound, "__GFP_COMP"), (.noMemalloc, "__GFP_NOMEMALLOC"), (.hardwall, "__GFP_HARDWALL"),
      (.thisNode, "__GFP_THISNODE"),
    ]
    var left = self
    var parts: [String] = []
    for (flags, name) in names where left.isSuperset(of: flags) {
      parts.append(name)
      left.subtract(flags)
    }
    if !left.isEmpty { parts.append("0x" + String(left.rawValue, radix: 16)) }
    return parts.isEmpty ? "0" : parts.joined(separator: "|")
  }
}
