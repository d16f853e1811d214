public import SystemPackage

/// Why a memory block stays online: the stage, the frames that hold it, and the pins on them.
public struct OfflineError: Error, Hashable, Sendable, CustomStringConvertible {
  /// How far the attempt came, in the order of mm/memory_hotplug.c:offline_pages (6.1).
  public enum Stage: String, CaseIterable, Hashable, Sendable {
    /// The block must be online.
    case state
    /// The range must be aligned.
    case alignment
    /// Every frame must be memory.
    case holes
    /// All frames must lie in one zone.
    case zone
    /// Pageblocks were being isolated.
    case isolate
    /// Notifiers were asked.
    case notify
    /// The frames were searched for movable ones.
    case scan
    /// Movable frames were being moved away.
    case migrate
    /// Free huge pages were being dissolved.
    case dissolve
    /// The range was tested for being free.
    case test
  }

  /// The reason for the failure.
  public enum Cause: Hashable, Sendable {
    /// The block is not online.
    case wrongState(BlockState)
    /// The machine has no such block.
    case noSuchBlock
    /// Only some of its frames are memory.
    case holes(present: Int, of: Int)
    /// The host has no memory for frames of the block that were never allocated.
    case noBytes
    /// Its frames lie in several zones.
    case severalZones
    /// A pageblock could not be isolated.
    case isolation(IsolationError)
    /// A notifier refused.
    case vetoed(Errno)
    /// A driver still refers to a frame that it took away (PG_offline).
    case takenAway(FrameNumber)
    /// A signal was pending.
    case interrupted
    /// The passes that the caller allowed are used up.
    case passesUsedUp
    /// A free huge page of the pool is reserved for a mapping.
    case hugePageKept(FrameNumber)
  }

  /// The block.
  public let block: BlockID
  /// Its frames.
  public let range: FrameRange
  /// How far the attempt came.
  public let stage: Stage
  /// The reason.
  public let cause: Cause
  /// Passes made.
  public let passes: Int
  /// Pages that were moved away before the attempt ended; they stay where they went.
  public let movedPages: Int
  /// The folios that were still there, at most `frameLimit` of them.
  public let frames: [StuckFrame]
  /// Number of folios that were still there.
  public let frameTotal: Int
  /// The most folios that an error describes one by one.
  public static var frameLimit: Int { Migration.describedFrames }
  /// The holders of pins or references on frames of the block.
  public let holders: [PinHolder]
  /// What the kernel would have logged.
  public let messages: [String]

  /// The kernel's errno: EINVAL for a block that can never go offline, EBUSY, EINTR, or the notifier's own.
  public var errno: Errno {
    switch cause {
    case .wrongState, .noSuchBlock, .holes, .severalZones: .invalidArgument
    case .noBytes: .noMemory
    case .isolation, .takenAway, .passesUsedUp, .hugePageKept: .resourceBusy
    case .vetoed(let errno): errno
    case .interrupted: .interrupted
    }
  }

  /// The reason in the words of the kernel's log.
  static func kernelReason(_ stage: Stage, _ cause: Cause) -> String {
    switch stage {
    case .state, .alignment: "invalid range"
    case .holes: "memory holes"
    case .zone: "multizone range"
    case .isolate: "failure to isolate range"
    case .notify: "notifier failure"
    case .dissolve: "failure to dissolve huge pages"
    case .scan, .migrate, .test:
      if case .takenAway = cause { "unmovable page" } else { "signal backoff" }
    }
  }

  /// What failed, at which stage, why, what is in the way, and who holds it.
  public var description: String {
    var text = "\(block) \(range) stays online: \(reason)."
    if !frames.isEmpty {
      let shown = frames.prefix(4).map(\.description).joined(separator: "; ")
      let more = frameTotal > 4 ? "; and \(frameTotal - min(4, frames.count)) more" : ""
      text += " Still there: \(shown)\(more)."
    }
    if !holders.isEmpty {
      let shown = holders.prefix(4).map(\.description).joined(separator: "; ")
      let more = holders.count > 4 ? "; and \(holders.count - 4) more" : ""
      text += " Held by \(shown)\(more)."
    }
    return text
  }

  private var reason: String {
    let tried = "\(passes) pass\(passes == 1 ? "" : "es")"
    return
      switch cause
    {
    case .wrongState(let state): "it is \(state), not online"
    case .noSuchBlock: "the machine has no such block"
    case .holes(let present, let all): "only \(present) of its \(all) frames are memory"
    case .noBytes: "the host has no memory for frames of it that were never touched"
    case .severalZones: "its frames lie in several zones"
    case .isolation(let error): "it cannot be isolated, since \(error)"
    case .vetoed(let errno): "a notifier refused (\(errno))"
    case .takenAway(let frame): "a driver took \(frame) away and still refers to it"
    case .interrupted: "a signal ended the attempt at the stage \(stage.rawValue), after \(tried)"
    case .passesUsedUp:
      "not empty after \(tried), all that were allowed; the last stage was \(stage.rawValue)"
    case .hugePageKept(let frame):
      "the free huge page at \(frame) is promised to a mapping, and the pool has none to spare"
    }
  }
}

/// What an offline did that succeeded.
public struct OfflineReport: Hashable, Sendable {
  /// The block.
  public let block: BlockID
  /// The zone that lost it.
  public let zone: ZoneID
  /// Passes that were needed; 0 for a block that was empty.
  public let passes: Int
  /// Pages that were moved away.
  public let movedPages: Int
  /// What the kernel would have logged on the way.
  public let messages: [String]
}
