/// What one step did.
public struct StepRecord: Codable, Sendable, Equatable {
  /// How it ended.
  public enum Status: String, Codable, Sendable, Hashable {
    /// It did what it was asked for.
    case ok
    /// It did not; see `error`.
    case failed
    /// This ground cannot do it, or the run ended before; see `skipped`.
    case skipped
  }

  /// Order of beginning, from 1.
  public var sequence: Int
  /// Who did it.
  public var actor: String
  /// Its label in the scenario.
  public var label: String?
  /// Its verb.
  public var verb: Verb.Word
  /// What was asked for, in words.
  public var detail: String
  /// Its place in the scenario.
  public var location: SourceLocation
  /// How it ended.
  public var status: Status
  /// Why it failed.
  public var error: StepError?
  /// Why it was not done.
  public var skipped: String?
  /// Pages, or frames, asked for.
  public var requested: Int64?
  /// Pages, or frames, done.
  public var pages: Int64?
  /// Pages moved to other frames.
  public var migrated: Int64?
  /// Attempts at moving a page that failed.
  public var failures: Int64?
  /// Bytes copied from frame to frame.
  public var bytes: Int64?
  /// Memory blocks done.
  public var blocks: Int64?
  /// Passes over the pages.
  public var passes: Int64?
  /// Drains of the LRU batches on all CPUs.
  public var drains: Int64?
  /// Times that it began again.
  public var retries: Int64?
  /// How often it was done, where the scenario says `repeat`.
  public var repeats: Int64?
  /// The frames it ended with, `pfn:0x40000-0x43fff`.
  public var frames: String?
  /// Text that it produced: a page dump, what a device saw, what the kernel logged.
  public var text: String?
  /// The frames that its range had before, where a real kernel lets us look.
  public var framesBefore: String?
  /// How many pages of its range lay in each zone before, by the zone's name.
  public var zonesBefore: [String: Int64]?
  /// How many pages of its range lay in each zone after.
  public var zonesAfter: [String: Int64]?
  /// What counters of /proc/vmstat grew by meanwhile, on a real kernel; the unchanged ones are left out.
  public var counters: [String: Int64]?
  /// Warnings that the kernel logged meanwhile.
  public var kernelWarnings: [String]?
  /// The ground's logical clock when it began.
  public var begin: UInt64
  /// The ground's logical clock when it ended.
  public var end: UInt64
  /// Real time spent in it.
  public var wallNanoseconds: UInt64

  /// A record to be filled in, of a step that begins now.
  public init(sequence: Int, actor: String, step: Step, begin: UInt64) {
    self.sequence = sequence
    self.actor = actor
    self.label = step.label
    self.verb = step.verb.word
    self.detail = step.verb.summary
    self.location = step.location
    self.status = .ok
    self.begin = begin
    self.end = begin
    self.wallNanoseconds = 0
  }

  private enum CodingKeys: String, CodingKey {
    case sequence, actor, label, verb, detail, location, status, error, skipped, requested, pages, migrated
    case failures, bytes, blocks, passes, drains, retries, repeats, frames, text, begin, end
    case framesBefore = "frames_before"
    case zonesBefore = "zones_before"
    case zonesAfter = "zones_after"
    case counters
    case kernelWarnings = "kernel_warnings"
    case wallNanoseconds = "wall_nanoseconds"
  }

  /// What an expectation reads from the record.
  public func value(_ value: Subject.StepValue) -> Observation {
    let number: Int64?
    switch value {
    case .result:
      switch status {
      case .ok: return .word("ok")
      case .failed:
        return error?.errno == .untold
          ? .unavailable("the driver does not report the error number")
          : .word(error?.errno.rawValue ?? "failed")
      case .skipped: return .unavailable(skipped ?? "the step was not done")
      }
    case .stage:
      guard let error else { return .word("none") }
      return error.stage == .untold
        ? .unavailable("a real kernel does not report the stage") : .word(error.stage.rawValue)
    case .requested: number = requested
    case .pages: number = pages
    case .migrated: number = migrated
    case .failures: number = failures
    case .bytes: number = bytes
    case .blocks: number = blocks
    case .passes: number = passes
    case .drains: number = drains
    case .retries: number = retries
    }
    if status == .skipped { return .unavailable(skipped ?? "the step was not done") }
    return number.map(Observation.number) ?? .unavailable("\(verb.rawValue) does not count \(value.rawValue)")
  }
}

/// Why a step failed.
public struct StepError: Codable, Sendable, Equatable {
  /// What the system call would give.
  public var errno: ErrorNumber
  /// Where it failed.
  public var stage: FailureStage
  /// The cause, in one sentence without a full stop.
  public var cause: String
  /// The first page that cannot be moved, `pfn:0x40255`.
  public var page: String?
  /// The holders of the pins that prevent the move.
  public var holders: [Holder]

  /// Makes an error.
  public init(
    errno: ErrorNumber, stage: FailureStage, cause: String, page: String? = nil, holders: [Holder] = []
  ) {
    self.errno = errno
    self.stage = stage
    self.cause = cause
    self.page = page
    self.holders = holders
  }

  /// A pin that prevents a move.
  public struct Holder: Codable, Sendable, Equatable {
    /// The actor that took it.
    public var owner: String
    /// What for.
    public var purpose: String
    /// The pin's name in the scenario.
    public var pin: String?
    /// How many pages of what was asked for it holds.
    public var pages: Int64
    /// The first of them.
    public var firstPage: String
    /// Whether it was taken for an indefinite time.
    public var longterm: Bool
    /// The label of the step that took it, or its number.
    public var since: String

    /// Makes a holder.
    public init(
      owner: String, purpose: String, pin: String?, pages: Int64, firstPage: String, longterm: Bool,
      since: String
    ) {
      self.owner = owner
      self.purpose = purpose
      self.pin = pin
      self.pages = pages
      self.firstPage = firstPage
      self.longterm = longterm
      self.since = since
    }

    private enum CodingKeys: String, CodingKey {
      case owner, purpose, pin, pages
      case firstPage = "first_page"
      case longterm, since
    }
  }
}

/// The kernel's error numbers that steps can end with.
public enum ErrorNumber: String, Sendable, Hashable, Codable, CaseIterable {
  /// As in <errno.h>.
  case EPERM, ENOENT, ESRCH, EINTR, EIO, ENXIO, EAGAIN, ENOMEM, EACCES, EFAULT, EBUSY, EEXIST, ENODEV, EINVAL
  /// As in <errno.h>.
  case ENOSPC, EMLINK, ENOSYS, EOVERFLOW, EOPNOTSUPP, EREMOTEIO, EHWPOISON
  /// A driver of a real kernel that fails, and keeps the number to itself.
  case untold

  /// The number on x86-64 and arm64.
  public var number: Int32 {
    switch self {
    case .EPERM: 1
    case .ENOENT: 2
    case .ESRCH: 3
    case .EINTR: 4
    case .EIO: 5
    case .ENXIO: 6
    case .EAGAIN: 11
    case .ENOMEM: 12
    case .EACCES: 13
    case .EFAULT: 14
    case .EBUSY: 16
    case .EEXIST: 17
    case .ENODEV: 19
    case .EINVAL: 22
    case .ENOSPC: 28
    case .EMLINK: 31
    case .ENOSYS: 38
    case .EOVERFLOW: 75
    case .EOPNOTSUPP: 95
    case .EREMOTEIO: 121
    case .EHWPOISON: 133
    case .untold: 0
    }
  }

  /// The error of that number.
  public init?(number: Int32) {
    guard let match = Self.allCases.first(where: { $0.number == number }) else { return nil }
    self = match
  }
}
