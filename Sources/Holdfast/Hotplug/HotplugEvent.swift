internal import Interleaving
public import SystemPackage

/// The events of a memory notifier, with the kernel's names and numbers (include/linux/memory.h).
///
/// The `going…` events may be refused; what a notifier throws at the others is ignored.
public enum HotplugEvent: Int, CaseIterable, Hashable, Sendable {
  /// MEM_ONLINE: the block is online.
  case online = 1
  /// MEM_GOING_OFFLINE: the block is about to be emptied; drivers drop references on what they took away.
  case goingOffline = 2
  /// MEM_OFFLINE: the block is offline.
  case offline = 4
  /// MEM_GOING_ONLINE: the block is about to come online.
  case goingOnline = 8
  /// MEM_CANCEL_ONLINE: the block does not come online.
  case cancelOnline = 16
  /// MEM_CANCEL_OFFLINE: the block stays online.
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
  /// Nil is the rule of mm/memory_hotplug.c:offline_pages (6.1): try until a signal is pending.
  public var passes: Int?

  /// At most this many passes; nil for no limit.
  public init(passes: Int?) { self.passes = passes }

  /// No limit; only a signal ends the attempt.
  public static let kernel = OfflineLimits(passes: nil)
}

/// How plain `online` chooses between a kernel zone and ZONE_MOVABLE.
///
/// `contiguousZones` is contig-zones and `autoMovable` is auto-movable of the parameter
/// memory_hotplug.online_policy.
public enum OnlinePolicy: Hashable, Sendable {
  /// The zone that the block's frames lie in already, if that is exactly one of the two; else a kernel zone.
  case contiguousZones
  /// ZONE_MOVABLE while its pages are at most `ratio` percent of the kernel's boot memory.
  ///
  /// With `perNode`, the same must hold on the block's node.
  case autoMovable(ratio: Int = 301, perNode: Bool = true)
}

extension Blocks {
  /// Asks a notifier about an event that can be refused.
  ///
  /// - Throws: the notifier's error, or EBUSY where a failure was injected or chosen.
  /// - Kernel: drivers/base/memory.c:memory_notify (6.1); without a chain of several notifiers, the range and
  ///   the node states as arguments.
  func ask(_ notify: HotplugNotifier?, _ event: HotplugEvent) throws(Errno) {
    if failures.shouldFail(.notifier) { throw .resourceBusy }
    try notify?(event)
  }

  /// Whether a refusal is possible: by a notifier, or by an injected failure.
  func asks(_ notify: HotplugNotifier?) -> Bool {
    notify != nil || global.failures(.notifier).load(.relaxed) != 0
  }

  /// Tells a notifier of an event that cannot be refused.
  func announce(_ event: HotplugEvent, to notify: HotplugNotifier?) {
    do { try notify?(event) } catch {}
  }

  /// Sets the state of a block and traces it.
  ///
  /// - Locks: the caller holds the hotplug lock.
  func setState(_ id: BlockID, _ state: BlockState) {
    block(id).state = state
    trace?(.block(id, state))
  }

  /// Whether the tables have room for a block of that number.
  func isBlock(_ id: BlockID) -> Bool { id.rawValue >= 0 && id.rawValue < machine.blockCount }
}
