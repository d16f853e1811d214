internal import Interleaving
public import SystemPackage

/// What a memory notifier is told, with the kernel's numbers (spec 3.2).
///
/// The `going…` events may be refused; what a notifier throws at the others is not looked at.
public enum HotplugEvent: Int, CaseIterable, Hashable, Sendable {
  /// MEM_ONLINE: the block is in use.
  case online = 1
  /// MEM_GOING_OFFLINE: the block is about to be emptied; drivers drop references on what they took away.
  case goingOffline = 2
  /// MEM_OFFLINE: the block is out of use.
  case offline = 4
  /// MEM_GOING_ONLINE: the block is about to be used.
  case goingOnline = 8
  /// MEM_CANCEL_ONLINE: it will not be used after all.
  case cancelOnline = 16
  /// MEM_CANCEL_OFFLINE: it stays in use.
  case cancelOffline = 32
}

/// A memory notifier: throws the error with which it refuses an event.
///
/// Called with the hotplug lock held: it must not call hotplug functions of the machine.
public typealias HotplugNotifier = (HotplugEvent) throws(Errno) -> Void

/// How long an offline may try.
public struct OfflineLimits: Hashable, Sendable {
  /// Most passes: a pass moves what can be moved, or finds that a frame which cannot be moved is still there.
  ///
  /// Nil is the kernel's own rule: try until a signal comes (mm/memory_hotplug.c:offline_pages, 6.1).
  public var passes: Int?

  /// At most so many passes; nil for no limit.
  public init(passes: Int?) { self.passes = passes }

  /// No limit; only a signal ends the attempt.
  public static let kernel = OfflineLimits(passes: nil)
}

/// What is written to a block's `state` to bring it into use (spec 3.2).
public enum OnlineKind: String, CaseIterable, Hashable, Sendable {
  /// The online policy chooses the zone.
  case online
  /// A zone for the kernel.
  case kernel = "online_kernel"
  /// ZONE_MOVABLE.
  case movable = "online_movable"
}

/// How plain `online` chooses between a kernel zone and ZONE_MOVABLE (spec 3.3).
public enum OnlinePolicy: Hashable, Sendable {
  /// The zone that the block's frames lie in already, if they lie in one of the two only; else a kernel zone.
  case contiguousZones
  /// ZONE_MOVABLE while its pages are at most `ratio` percent of the kernel's boot memory; on each node too if
  /// `perNode`.
  case autoMovable(ratio: Int = 301, perNode: Bool = true)
}

extension Machine {
  /// Asks a notifier about an event that can be refused.
  ///
  /// - Throws: the notifier's error, or EBUSY where a failure was asked for or chosen.
  func ask(_ notify: HotplugNotifier?, _ event: HotplugEvent) throws(Errno) {
    if shouldFail(.notifier) { throw .resourceBusy }
    try notify?(event)
  }

  /// Whether somebody might refuse: a notifier, or one that a failure stands for.
  func asks(_ notify: HotplugNotifier?) -> Bool {
    notify != nil || global.failures(.notifier).load(.relaxed) != 0
  }

  /// Tells a notifier of an event that cannot be refused.
  func announce(_ event: HotplugEvent, to notify: HotplugNotifier?) {
    do { try notify?(event) } catch {}
  }

  /// Sets the state of a block and traces it.
  ///
  /// The caller holds the hotplug lock.
  func setState(_ id: BlockID, _ state: BlockState) {
    block(id).state = state
    trace?(.block(id, state))
  }

  /// Whether the tables have room for a block of that number.
  func isBlock(_ id: BlockID) -> Bool { id.rawValue >= 0 && id.rawValue < blockCount }
}
