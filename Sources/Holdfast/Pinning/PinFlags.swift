/// FOLL_* flags, with the bits of Linux 6.1 (spec 5.1).
public struct PinFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Flags with those bits.
  @inlinable @inline(__always)
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// FOLL_WRITE: the mapping must be writable; copy-on-write is broken.
  public static let write = PinFlags(rawValue: 0x1)
  /// FOLL_TOUCH: mark accessed, and dirty with `write`.
  public static let touch = PinFlags(rawValue: 0x2)
  /// FOLL_GET: take ordinary references.
  public static let get = PinFlags(rawValue: 0x4)
  /// FOLL_DUMP: an error for holes and the zero page.
  public static let dump = PinFlags(rawValue: 0x8)
  /// FOLL_FORCE: ignore the area's protection, as ptrace does.
  public static let force = PinFlags(rawValue: 0x10)
  /// FOLL_NOWAIT: do not wait for I/O.
  public static let noWait = PinFlags(rawValue: 0x20)
  /// FOLL_NOFAULT: never fault.
  public static let noFault = PinFlags(rawValue: 0x80)
  /// FOLL_HWPOISON: report poisoned pages as such.
  public static let hwpoison = PinFlags(rawValue: 0x100)
  /// FOLL_TRIED: second attempt.
  public static let tried = PinFlags(rawValue: 0x800)
  /// FOLL_REMOTE: the address space is not the caller's.
  public static let remote = PinFlags(rawValue: 0x2000)
  /// FOLL_ANON: anonymous areas only.
  public static let anonymous = PinFlags(rawValue: 0x8000)
  /// FOLL_LONGTERM: the pin may be held for ever.
  public static let longterm = PinFlags(rawValue: 0x10000)
  /// FOLL_SPLIT_PMD: split a PMD mapping first.
  public static let splitPMD = PinFlags(rawValue: 0x20000)
  /// FOLL_PIN: the page is for DMA; only the pin entry points set it.
  public static let pin = PinFlags(rawValue: 0x40000)
  /// FOLL_FAST_ONLY: no slow path.
  public static let fastOnly = PinFlags(rawValue: 0x80000)

  /// What only entry points set; mainline refuses it from callers.
  static let internalFlags: PinFlags = [.touch, .tried, .remote, .pin, .fastOnly]

  /// What the fast entry points accept.
  static let fastLegal: PinFlags = [.write, .longterm, .force, .pin, .get, .fastOnly, .noFault]
}
