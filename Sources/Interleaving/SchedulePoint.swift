import CLinux

/// What an operation at a schedule point does to the word that it names.
public enum PointKind: UInt8, Sendable {
  case load, store, readModifyWrite, plainLoad, plainStore, acquire, release, wait
}

/// Announces a synchronising operation on `address` before it happens.
///
/// Nothing in `Interleaving`; a call of the current thread's hook in `InterleavingExplored`. This is the only
/// place that tells the two apart.
@inlinable @inline(__always)
public func schedulePoint(_ kind: PointKind, _ address: UnsafeRawPointer) {
  #if EXPLORER
  callHook(kind, address)
  #endif
}

#if EXPLORER
@usableFromInline
func callHook(_ kind: PointKind, _ address: UnsafeRawPointer) {
  hf_schedule_point(kind.rawValue, address)
}
#endif

/// Whether this module is the explored twin.
public var isExplored: Bool {
  #if EXPLORER
  true
  #else
  false
  #endif
}
