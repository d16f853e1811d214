public import Holdfast

/// The commands of /sys/kernel/debug/gup_test in 6.1, by the names that the kernel's tool prints (rule 11.1).
public enum GupTestCommand: String, CaseIterable, Hashable, Sendable {
  /// get_user_pages_fast.
  case gupFast = "GUP_FAST_BENCHMARK"
  /// pin_user_pages_fast.
  case pinFast = "PIN_FAST_BENCHMARK"
  /// pin_user_pages with FOLL_LONGTERM.
  case pinLongterm = "PIN_LONGTERM_BENCHMARK"
  /// get_user_pages.
  case gupBasic = "GUP_BASIC_TEST"
  /// pin_user_pages.
  case pinBasic = "PIN_BASIC_TEST"
  /// get_user_pages or pin_user_pages, and page dumps of chosen pages.
  case dump = "DUMP_USER_PAGES_TEST"

  /// Whether the tool prints times, and repeats.
  public var isBenchmark: Bool {
    switch self {
    case .gupFast, .pinFast, .pinLongterm: true
    case .gupBasic, .pinBasic, .dump: false
    }
  }

  /// Whether pages are checked while they are held.
  var isVerified: Bool {
    switch self {
    case .pinFast, .pinLongterm, .pinBasic: true
    case .gupFast, .gupBasic, .dump: false
    }
  }
}

/// The request for a run of the gup_test tool (rule 11.2).
public struct GupTestRequest: Sendable {
  /// Page indexes that a dump takes at most.
  public static let maxDumpedPages = 8

  /// The command.
  public var command = GupTestCommand.gupFast
  /// Bytes mapped and asked for.
  public var size: UInt64 = 128 << 20
  /// Calls of the command by every thread, if it is a benchmark.
  public var repeats = 1
  /// Pages of one call of the get_user_pages family, as the kernel's unsigned field has it.
  public var pagesPerCall: UInt32 = 1
  /// FOLL_* flags with the bits of 6.1.
  public var flags = PinFlags.write
  /// Whether a dump pins instead of getting.
  public var dumpsPinned = false
  /// Pages to dump, counted from 1 as the kernel does; 0 is none.
  public var dumpedPages: [UInt32] = []
  /// How many threads run the command at the same time.
  public var threads = 1
  /// MAP_SHARED instead of MAP_PRIVATE.
  public var isShared = false
  /// Huge pages of the hugetlb pool.
  public var isHugetlb = false
  /// MADV_HUGEPAGE or MADV_NOHUGEPAGE for the mapping.
  public var advice: Advice?
  /// Whether user space touches the pages first; else they are faulted in by the command.
  public var touchesFirst = true

  /// 128 MiB of private anonymous memory, get_user_pages_fast once, a page a call, for writing.
  public init() {}
}

/// What one call of a gup_test command did.
public struct GupTestResult: Sendable {
  /// The command.
  public var command: GupTestCommand
  /// Microseconds that getting or pinning took.
  public var getMicroseconds: Int64
  /// Microseconds that putting or unpinning took.
  public var putMicroseconds: Int64
  /// Bytes that the calls covered: those asked for, unless a call failed or returned fewer pages.
  public var size: UInt64
  /// Pages that were held.
  public var pages: Int
  /// What the kernel would log: failed checks, page dumps.
  public var log: [String]
  /// Why it stopped early; the kernel's interface does not report this.
  public var failure: PinError?
}

/// Why the tool did not run its command.
public enum GupTestFailure: Error, Sendable, CustomStringConvertible {
  /// The machine for the request cannot be made; the reason.
  case machine(ConfigurationError)
  /// A system call of the tool failed.
  case call(AddressSpaceError)

  /// One sentence.
  public var description: String {
    switch self {
    case .machine(let error): error.description
    case .call(let error): error.description
    }
  }
}
