/// A thing that is looked at, and what it should be.
public struct Expectation: Sendable, Equatable {
  /// What is compared, in one policy or in all.
  public enum Terms: Sendable, Equatable {
    /// All of them must hold.
    case compare([Comparison])
    /// The scenario says nothing about this policy.
    case skip
  }

  /// Its place in the file.
  public var location: SourceLocation
  /// What is looked at.
  public var subject: Subject
  /// The step after whose end it is looked at; the end of the run if nil.
  public var at: String?
  /// The step after whose end the earlier look was taken; the start of the run if nil.
  public var since: String?
  /// What holds under every policy that `under` does not name.
  public var standard: Terms
  /// What holds under a policy instead.
  public var under: [PolicyName: Terms]
  /// The author's reason, repeated by reports.
  public var because: String?

  /// What holds under this policy.
  public func terms(under policy: PolicyName) -> Terms {
    under[policy] ?? standard
  }
}

/// What an expectation looks at.
public enum Subject: Sendable, Equatable {
  /// The record of a step.
  case step(label: String, StepValue)
  /// A sum of counters: what it grew by, or its total.
  case counter(CounterExpression, total: Bool)
  /// A number of a zone, of all nodes unless one is named.
  case zone(ZoneKind, node: Int?, ZoneValue)
  /// How many of these blocks are as described.
  case blocks(BlockSet, BlockFilter)
  /// How many pages of a region are as described.
  case pages(Verb.RegionRange, PageFilter)
  /// How many pages of a pin are as described.
  case pin(name: String, PageFilter)
  /// Whether the bytes of a region are what they were.
  case contents(Verb.RegionRange)
  /// The actors that hold pins in these blocks, by the ledger.
  case holders(BlockSet)
  /// A number of an actor's process.
  case process(actor: String, ProcessValue)
  /// A number of a contiguous memory area.
  case contiguousArea(name: String, AreaValue)

  /// What can be read from the record of a step.
  public enum StepValue: String, Sendable, Hashable, Codable, CaseIterable {
    /// `ok`, `skipped`, or the name of an errno.
    case result
    /// Where it failed.
    case stage
    /// Pages done.
    case pages
    /// Pages asked for.
    case requested
    /// Pages moved to other frames.
    case migrated
    /// Pages that could not be moved, each time counted.
    case failures
    /// Bytes copied.
    case bytes
    /// Memory blocks done.
    case blocks
    /// Passes over the pages.
    case passes
    /// Drains of the LRU batches on all CPUs.
    case drains
    /// Times that it began again.
    case retries
  }

  /// What can be read from a zone, in pages.
  public enum ZoneValue: String, Sendable, Hashable, Codable, CaseIterable {
    /// As in /proc/zoneinfo.
    case spanned, present, managed, free, cma
    /// Free pages in CMA pageblocks.
    case freeCMA = "free-cma"
    /// Pages with a pin.
    case pinned
  }

  /// What can be read from a process, in pages.
  public enum ProcessValue: String, Sendable, Hashable, Codable, CaseIterable {
    /// VmLck.
    case locked
    /// VmPin.
    case pinned
    /// VmRSS.
    case resident
  }

  /// What can be read from a contiguous memory area, in pages.
  public enum AreaValue: String, Sendable, Hashable, Codable, CaseIterable {
    /// Handed out by `cma-alloc`.
    case used
    /// The longest run that is not handed out.
    case largest
  }

  /// Memory blocks, by where they were when the run began.
  public struct BlockSet: Sendable, Equatable {
    /// Which blocks.
    public enum Pick: Sendable, Hashable {
      /// All of the machine.
      case all
      /// With a page in this zone when the run began.
      case zone(ZoneKind)
      /// By number.
      case indices([Int])
    }
    /// Which blocks.
    public var pick: Pick
    /// Only those that lay in one zone with every page.
    public var wholeOnly: Bool
  }

  /// A description of a block; every given part must fit.
  public struct BlockFilter: Sendable, Equatable {
    /// Its state.
    public var state: BlockState?
    /// The zone of all its pages now.
    public var zone: ZoneKind?
    /// Whether every page is free.
    public var free: Bool?
    /// Whether a page is pinned.
    public var pinned: Bool?
  }

  /// A description of a page; every given part must fit.
  public struct PageFilter: Sendable, Equatable {
    /// Whether there is a frame.
    public var present: Bool?
    /// The zone of its frame.
    public var zone: ZoneKind?
    /// The node of its frame.
    public var node: Int?
    /// The mobility type of its frame's pageblock.
    public var migratetype: MigrateType?
    /// Whether the policy would let it be pinned long-term where it is.
    public var pinnable: Bool?
    /// page_maybe_dma_pinned.
    public var maybePinned: Bool?
    /// Whether the frame is another than it was, see `Expectation.since`.
    public var moved: Bool?
    /// PG_dirty.
    public var dirty: Bool?
    /// The folio's reference count.
    public var references: Int?
    /// The folio's own count of pins, 0 where small pages count by 1024.
    public var pincount: Int?
    /// How many page tables map it.
    public var mappings: Int?
    /// The order of its folio.
    public var order: Int?
    /// Whether the page is swapped out, as /proc/PID/pagemap tells.
    public var swapped: Bool?
    /// Whether the page is mapped exclusively, as /proc/PID/pagemap tells.
    public var exclusive: Bool?
    /// Whether the page was written since the last `clear-refs`, as /proc/PID/pagemap tells.
    public var softDirty: Bool?
    /// Of a pin: whether the address that it was taken through is still mapped to the pinned frame.
    public var coherent: Bool?
  }
}

/// `a + b - c` over counters of /proc/vmstat.
public struct CounterExpression: Sendable, Equatable, CustomStringConvertible {
  /// One counter, added or subtracted.
  public struct Term: Sendable, Equatable {
    /// The name in /proc/vmstat.
    public var counter: String
    /// 1 or -1.
    public var sign: Int64
  }

  /// At least one.
  public var terms: [Term]

  /// The sum, or the first counter that `value` does not know.
  public func evaluate(_ value: (String) -> Int64?) -> Result<Int64, UnknownCounter> {
    var sum: Int64 = 0
    for term in terms {
      guard let number = value(term.counter) else { return .failure(UnknownCounter(name: term.counter)) }
      sum &+= term.sign &* number
    }
    return .success(sum)
  }

  /// The ground does not keep this counter.
  public struct UnknownCounter: Error, Sendable, Equatable {
    /// Its name.
    public var name: String
  }

  /// As it is written.
  public var description: String {
    terms.enumerated().map { index, term in
      (term.sign < 0 ? (index == 0 ? "-" : " - ") : (index == 0 ? "" : " + ")) + term.counter
    }.joined()
  }
}

/// An operator and its right side.
public struct Comparison: Sendable, Equatable {
  /// How the two are compared.
  public enum Operator: String, Sendable, Hashable, Codable, CaseIterable {
    /// The same.
    case equals
    /// Not the same.
    case not
    /// The same or more; for owners: all these and perhaps others.
    case atLeast = "at-least"
    /// The same or less; for owners: none but these.
    case atMost = "at-most"
  }

  /// The operator.
  public var operation: Operator
  /// Its right side.
  public var value: ExpectedValue
}

/// What a scenario can expect something to be.
public enum ExpectedValue: Sendable, Hashable {
  /// A number; sizes are in pages, except bytes copied.
  case number(Int64)
  /// Every one of what is counted, of which there must be at least one.
  case all
  /// Not one.
  case none
  /// `ok`, an errno, a stage, `unchanged` or `changed`.
  case word(String)
  /// Owners.
  case names(Set<String>)
}
