import CLinux
import SystemPackage

/// Advice to madvise, by the numbers of Linux 6.1 (include/uapi/asm-generic/mman-common.h).
enum MemoryAdvice: Int32, Sendable, CaseIterable {
  case willNeed = 3
  case dontNeed = 4
  case free = 8
  case remove = 9
  case dontFork = 10
  case doFork = 11
  case mergeable = 12
  case unmergeable = 13
  case hugePage = 14
  case noHugePage = 15
  case wipeOnFork = 18
  case keepOnFork = 19
  case cold = 20
  case pageOut = 21
  case populateRead = 22
  case populateWrite = 23
  case dontNeedLocked = 24
  case collapse = 25
  case hardwarePoison = 100
  case softOffline = 101

  /// The system call madvise: mm/madvise.c:do_madvise (6.1).
  ///
  /// `.invalidArgument` for advice that the kernel or the kind of memory does not take, `.noMemory` for a
  /// hole. Collapse may give `.resourceTemporarilyUnavailable`, `.resourceBusy` or `.noMemory`; populate
  /// gives what a fault would: `.badAddress` for SIGBUS or SIGSEGV, EHWPOISON (133) for poisoned memory.
  func apply(address: UInt64, byteCount: Int) throws(Errno) {
    try systemCall(hf_madvise(address, byteCount, rawValue))
  }
}
