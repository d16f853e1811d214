import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// The system calls on this process's memory, as they are: addresses in, errors out.
enum MemoryCalls {
  /// What a mapping maps.
  enum Kind: Sendable, Hashable {
    /// Private anonymous memory.
    case anonymous
    /// Shared anonymous memory, which is an unnamed tmpfs file.
    case sharedAnonymous
    /// A new memfd, shared or private.
    case memfd(shared: Bool)
    /// A new memfd on huge pages of the pool (2 MiB), shared or private.
    case hugetlbMemfd(shared: Bool)
    /// Private anonymous memory on huge pages of the pool (2 MiB).
    case hugetlb
    /// An open file, shared or private, from the given offset on.
    case file(FileDescriptor, shared: Bool, offset: UInt64 = 0)
  }

  /// A fresh mapping.
  struct Mapping: Sendable, Hashable {
    /// Its first byte.
    var address: UInt64
    /// Its length in bytes.
    var byteCount: Int
    /// The file behind it, which the caller closes; nil for anonymous memory.
    var file: FileDescriptor?
  }

  /// Maps memory, exactly at `address` if that is given and nothing is mapped there.
  ///
  /// The kernel's side is mm/mmap.c:ksys_mmap_pgoff (6.1). `.fileExists` where something is mapped already;
  /// `.noMemory` where the pool has too few huge pages. `populate` faults every page in, and does not fail
  /// where it cannot.
  static func map(
    _ kind: Kind, byteCount: Int, protection: Protection = .readWrite, at address: UInt64? = nil,
    alignment: Int? = nil, populate: Bool = false, noReserve: Bool = false
  ) throws(Errno) -> Mapping {
    let hugeSize = Int32(21 << MAP_HUGE_SHIFT)
    var flags: Int32 = populate ? MAP_POPULATE : 0
    if noReserve { flags |= MAP_NORESERVE }
    var offset: UInt64 = 0
    var file: FileDescriptor?
    var owned = false
    switch kind {
    case .anonymous: flags |= MAP_PRIVATE | MAP_ANONYMOUS
    case .sharedAnonymous: flags |= MAP_SHARED | MAP_ANONYMOUS
    case .hugetlb: flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | hugeSize
    case .memfd(let shared), .hugetlbMemfd(let shared):
      flags |= shared ? MAP_SHARED : MAP_PRIVATE
      var creation: UInt32 = 0
      // MFD_HUGETLB of linux/memfd.h, and the size's logarithm.
      if case .hugetlbMemfd = kind { creation = 4 | 21 << 26 }
      file = try makeMemfd(flags: creation, byteCount: byteCount)
      owned = true
    case .file(let given, let shared, let start):
      flags |= shared ? MAP_SHARED : MAP_PRIVATE
      (file, offset) = (given, start)
    }
    do throws(Errno) {
      let place = try chooseAddress(address, byteCount, alignment)
      var got: UInt64 = 0
      let fixed: Int32 = place == nil ? 0 : Int32(MAP_FIXED_NOREPLACE)
      try systemCall(
        hf_mmap(
          place ?? 0, byteCount, Int32(protection.rawValue), flags | fixed, file?.rawValue ?? -1, offset, &got
        )
      )
      return Mapping(address: got, byteCount: byteCount, file: file)
    } catch {
      if owned { try? file?.close() }
      throw error
    }
  }

  /// A memfd of the given size.
  static func makeMemfd(flags: UInt32 = 0, byteCount: Int) throws(Errno) -> FileDescriptor {
    let file = FileDescriptor(rawValue: CInt(try systemCall(hf_memfd_create_flags("holdfast", flags))))
    do throws(Errno) {
      try systemCall(hf_ftruncate(file.rawValue, UInt64(byteCount)))
      return file
    } catch {
      try? file.close()
      throw error
    }
  }

  /// An address in free space with the alignment requested, or the one that was given.
  private static func chooseAddress(
    _ address: UInt64?, _ byteCount: Int, _ alignment: Int?
  ) throws(Errno) -> UInt64? {
    if address != nil { return address }
    guard let alignment, alignment > HostFiles.pageSize else { return nil }
    var got: UInt64 = 0
    let size = byteCount + alignment
    try systemCall(hf_mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &got))
    try systemCall(hf_munmap(got, size))
    return (got + UInt64(alignment) - 1) & ~(UInt64(alignment) - 1)
  }

  /// The system call munmap: mm/mmap.c:__vm_munmap (6.1).
  static func unmap(address: UInt64, byteCount: Int) throws(Errno) {
    try systemCall(hf_munmap(address, byteCount))
  }

  /// The system call mprotect: mm/mprotect.c:do_mprotect_pkey (6.1).
  ///
  /// `.noMemory` for a hole, `.permissionDenied` for a protection that the mapping may not have.
  static func protect(address: UInt64, byteCount: Int, _ protection: Protection) throws(Errno) {
    try systemCall(hf_mprotect(address, byteCount, Int32(protection.rawValue)))
  }

  /// The system call madvise: mm/madvise.c:do_madvise (6.1).
  ///
  /// `.invalidArgument` for advice that the kernel or the kind of memory does not take, `.noMemory` for a
  /// hole. Collapse may give `.resourceTemporarilyUnavailable`, `.resourceBusy` or `.noMemory`; populate
  /// gives what a fault would: `.badAddress` for SIGBUS or SIGSEGV, EHWPOISON (133) for poisoned memory.
  static func advise(address: UInt64, byteCount: Int, _ advice: Advice) throws(Errno) {
    try systemCall(hf_madvise(address, byteCount, advice.number))
  }

  /// The system call mremap: grows, shrinks or moves a mapping, and returns its address.
  ///
  /// With `target` the mapping goes exactly there, over any other; otherwise only `mayMove` lets it move.
  /// `keepOld` leaves an empty mapping in the old place (MREMAP_DONTUNMAP).
  static func remap(
    address: UInt64, byteCount: Int, newByteCount: Int, mayMove: Bool = true, target: UInt64? = nil,
    keepOld: Bool = false
  ) throws(Errno) -> UInt64 {
    // MREMAP_MAYMOVE, _FIXED and _DONTUNMAP of linux/mman.h.
    let flags: Int32 = (mayMove || target != nil ? 1 : 0) | (target != nil ? 2 : 0) | (keepOld ? 4 : 0)
    var got: UInt64 = 0
    try systemCall(hf_mremap(address, byteCount, newByteCount, flags, target ?? 0, &got))
    return got
  }

  /// The system call mlock: mm/mlock.c:do_mlock (6.1).
  ///
  /// `.noMemory` beyond RLIMIT_MEMLOCK or over a hole.
  static func lock(address: UInt64, byteCount: Int) throws(Errno) {
    try systemCall(hf_mlock(address, byteCount))
  }

  /// The system call munlock.
  static func unlock(address: UInt64, byteCount: Int) throws(Errno) {
    try systemCall(hf_munlock(address, byteCount))
  }

  /// Sets RLIMIT_MEMLOCK, soft and hard, in bytes; nil is no limit.
  ///
  /// It binds only without CAP_IPC_LOCK.
  static func setLockLimit(_ bytes: UInt64?) throws(Errno) {
    try systemCall(hf_set_memlock_limit(bytes ?? UInt64.max, bytes ?? UInt64.max))
  }

  /// Whether the calling thread uses CAP_IPC_LOCK from now on; an io_uring keeps the state at its creation.
  static func useLockCapability(_ use: Bool) throws(Errno) {
    try systemCall(hf_use_lock_capability(use))
  }

  /// Clears the soft-dirty bits of a process: fs/proc/task_mmu.c:clear_refs_write (6.1).
  static func clearSoftDirty(process: Int32? = nil) throws(Errno) {
    try HostFiles.write("4\n", to: "/proc/\(process.map(String.init) ?? "self")/clear_refs")
  }
}
