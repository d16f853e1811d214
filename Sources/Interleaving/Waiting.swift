import CLinux
public import Synchronization

/// Why a thread cannot continue at once.
public enum WaitReason: UInt32, Sendable {
  /// A lock is held by another thread.
  case lock
  /// An operation must be tried again.
  case retry
  /// Another processor must leave a lockless walk.
  case walker
}

/// Lets other threads run, because this thread cannot continue or must try again.
///
/// Runs the wait handler of the current thread if one is installed. Otherwise it pauses, yields or sleeps shortly,
/// depending on `attempt`. An actor of an explorer runs its thread's wait handler first, as part of the step.
@inline(never)
public func giveWay(_ reason: WaitReason, attempt: Int) {
  if isActing { _ = hf_run_wait_handler(reason.rawValue) }
  if waitPoint() || hf_run_wait_handler(reason.rawValue) { return }
  if attempt < 64 {
    hf_pause()
  } else if attempt < 256 {
    hf_yield_processor()
  } else {
    hf_sleep_microseconds(50)
  }
}

/// Waits until `condition` holds; an explorer evaluates it again when another actor has written what it has read.
@inlinable
public func wait(_ reason: WaitReason, until condition: () -> Bool) {
  var attempt = 0
  while !condition() {
    giveWay(reason, attempt: attempt)
    attempt &+= 1
  }
}

extension AtomicUInt32 {
  /// Waits until the value is zero.
  @inlinable
  public func waitUntilZero(_ reason: WaitReason) {
    schedulePoint(.awaitClear, pointer, clear: 0xffff_ffff)
    wait(reason) { pointer.pointee.load(ordering: .acquiring) == 0 }
  }
}
