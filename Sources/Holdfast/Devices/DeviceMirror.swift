import Interleaving
import SystemPackage

/// A device with page tables of its own that mirrors a process's memory, as a graphics processor does.
///
/// It is what the kernel's test driver hmm_dmirror is, as far as exclusive access goes.
public struct DeviceMirror: Hashable, Sendable {
  package let id: RowID
}

extension Machine {
  /// Lets a device mirror the memory of a process.
  ///
  /// - Throws: EINVAL if the process has ended, ENOMEM if the table of mirrors is full.
  /// - Kernel: lib/test_hmm.c:dmirror_fops_open (6.1); without device memory.
  public func openMirror(of process: Process) throws(MirrorError) -> DeviceMirror {
    let start = VirtualAddress(page: 0)
    guard let space = spaces.getSpace(of: process) else {
      throw MirrorError(.ended, .invalidArgument, at: start)
    }
    defer { spaces.putSpace(space, on: process.processor) }
    guard let id = mirrors.open(of: space) else {
      throw MirrorError(.tableFull("mirrors"), .noMemory, at: start)
    }
    return DeviceMirror(id: id)
  }

  /// Ends a mirror; pages that the device has exclusively are the processor's again at its next touch.
  ///
  /// - Kernel: lib/test_hmm.c:dmirror_fops_release (6.1)
  public func closeMirror(_ mirror: DeviceMirror) { mirrors.close(mirror.id) }

  /// Gives a device exclusive access to pages: no processor reaches them until it has faulted, which ends the access.
  ///
  /// Pages are taken in groups of 64, from 6.15 on one by one. A group of which not all pages could be had is the end;
  /// what the device has until then, it keeps.
  ///
  /// - Throws: EINVAL if the process has ended; EBUSY if a page cannot be had: it is not mapped, not writable, not
  ///   anonymous, part of a huge page, or locked; ENOENT if a processor touched a page before this call returned;
  ///   EOPNOTSUPP where the policy's kernel has no exclusive access. From 6.15 on the errors are those of each page:
  ///   EFAULT, ENOMEM, EOPNOTSUPP.
  /// - Locks: takes the space's lock, shared; the caller holds none.
  public func makeExclusive(
    _ mirror: DeviceMirror, at address: VirtualAddress, pages: Int, by process: Process
  ) throws(MirrorError) {
    _ = stamp()
    try devices.makeExclusive(mirrors.mirror(mirror.id), address.page, pages, by: process)
  }

  /// What a device has exclusively of a range: a frame for each page, nil for others.
  ///
  /// - Kernel: lib/test_hmm.c:dmirror_check_atomic (6.1); without an error for pages that it has.
  public func exclusiveFrames(
    of mirror: DeviceMirror, at address: VirtualAddress, pages: Int
  ) -> [FrameNumber?] {
    let mirror = mirrors.mirror(mirror.id)
    return mirror.lock.withLock {
      (0..<UInt64(pages)).map { mirrors.find(address.page &+ $0, in: mirror)?.frame }
    }
  }

  /// Lets a device read, change and write a page that it has exclusively, as one access.
  ///
  /// A revocation waits until `body` has returned. `body` takes no locks.
  ///
  /// - Throws: ENOENT if the device does not have the page: it must ask again.
  package func update(
    _ mirror: DeviceMirror, at address: VirtualAddress, _ body: (FrameNumber) -> Void
  ) throws(MirrorError) {
    let mirror = mirrors.mirror(mirror.id)
    mirror.lock.lock()
    defer { mirror.lock.unlock() }
    guard let found = mirrors.find(address.page, in: mirror) else {
      throw MirrorError(.notExclusive, .noSuchFileOrDirectory, at: address)
    }
    body(found.frame)
  }

  /// Lets a device add to a word of a page that it has exclusively, as one access; returns what was there.
  ///
  /// - Throws: as `update`; EINVAL for an address that is no multiple of 8, EOPNOTSUPP if frames have no bytes.
  public func fetchAdd(
    _ mirror: DeviceMirror, at address: VirtualAddress, _ operand: UInt64
  ) throws(MirrorError) -> UInt64 {
    let offset = Int(address.rawValue & UInt64(pageSize - 1))
    guard offset & 7 == 0 else { throw MirrorError(.badRange, .invalidArgument, at: address) }
    guard store != nil else { throw MirrorError(.noBytes, .notSupported, at: address) }
    var before: UInt64 = 0
    try update(mirror, at: address) { frame in
      guard let bytes = bytes(of: frame) else { return }
      before = bytes.load(fromByteOffset: offset, as: UInt64.self)
      bytes.storeBytes(of: before &+ operand, toByteOffset: offset, as: UInt64.self)
    }
    return before
  }
}

extension Devices {
  /// Pages of a group (`pages` in dmirror_exclusive).
  private static let pagesAtOnce = 64

  /// - Kernel: lib/test_hmm.c:dmirror_exclusive (6.1); without copying what it reads at the end to the caller.
  fileprivate func makeExclusive(
    _ mirror: Mirror, _ page: UInt64, _ count: Int, by process: Process
  ) throws(MirrorError) {
    let start = VirtualAddress(page: page)
    guard policy.exclusiveAccess != .none else { throw MirrorError(.notSupported, .notSupported, at: start) }
    guard count >= 0, page < geometry.addressSpacePages, UInt64(count) <= geometry.addressSpacePages - page
    else {
      throw MirrorError(.badRange, .invalidArgument, at: start)
    }
    let id = mirror.space
    guard spaces.getSpace(id) else { throw MirrorError(.ended, .invalidArgument, at: start) }
    defer { spaces.putSpace(id, on: process.processor) }
    try makeGroupsExclusive(mirror, page, count, by: process)
    // The driver reads the pages at the end, so that one which is not its own any more is an error.
    mirror.lock.lock()
    defer { mirror.lock.unlock() }
    for index in 0..<UInt64(count) where mirrors.find(page + index, in: mirror) == nil {
      throw MirrorError(.revoked, .noSuchFileOrDirectory, at: VirtualAddress(page: page + index))
    }
  }

  /// Takes pages group by group, up to the first of which not all can be had.
  ///
  /// - Locks: takes the space's lock, shared.
  private func makeGroupsExclusive(
    _ mirror: Mirror, _ page: UInt64, _ count: Int, by process: Process
  ) throws(MirrorError) {
    let space = spaces.space(mirror.space)
    space.lock.lockShared()
    defer { space.lock.unlockShared() }
    var done = 0
    while done < count {
      let pages = policy.exclusiveAccess == .page ? 1 : min(Self.pagesAtOnce, count - done)
      try makeGroupExclusive(mirror, page + UInt64(done), pages, by: process)
      done += pages
    }
  }

  /// Takes pages and lets the device have them, if all were found.
  ///
  /// - Locks: the caller holds the space's lock, shared.
  private func makeGroupExclusive(
    _ mirror: Mirror, _ page: UInt64, _ count: Int, by process: Process
  ) throws(MirrorError) {
    var frames: [FrameNumber]
    var found = count
    if policy.exclusiveAccess == .page {
      frames = [try takeExclusivePage(mirror.space, page, by: process)]
    } else {
      frames = Array(repeating: .none, count: count)
      found = frames.withUnsafeMutableBufferPointer {
        takeExclusive(mirror.space, page, $0, by: process).found
      }
    }
    if !isEnabled(.exclusiveHoldsLock) { unlock(frames) }
    let granted = found == count ? enter(frames, page, into: mirror) : 0
    if isEnabled(.exclusiveHoldsLock) { unlock(frames) }
    for frame in frames where frame != .none {
      folios.put(memmap.head(of: frame), on: process.processor)
    }
    guard granted == count else {
      throw MirrorError(
        .refused(granted: granted, of: count), .resourceBusy, at: VirtualAddress(page: page))
    }
  }

  private func unlock(_ frames: [FrameNumber]) {
    for frame in frames where frame != .none { memmap.page(memmap.head(of: frame)).lock.unlock() }
  }

  /// Enters pages that were taken into the device's tables; returns how many.
  ///
  /// The page locks keep faults from restoring an entry before the device has its page. An unmap does not take them, and
  /// would leave the device a page that is freed. So a page is entered only while its entry is there; a driver of the
  /// kernel asks include/linux/mmu_notifier.h:mmu_interval_read_retry (6.1) for that, which hmm_dmirror does not.
  ///
  /// - Locks: the caller holds the page locks.
  /// - Kernel: lib/test_hmm.c:dmirror_atomic_map (6.1)
  private func enter(_ frames: [FrameNumber], _ page: UInt64, into mirror: Mirror) -> Int {
    let space = spaces.space(mirror.space)
    var entered = 0
    for (index, frame) in frames.enumerated() where frame != .none {
      let place = page + UInt64(index)
      space.pageTableLock.lock()
      let entry = pageTables.leafSlot(space, place)?.entry ?? .none
      if !isEnabled(.exclusiveEntryCheck) || entry.isExclusive && entry.frame == frame,
        mirror.lock.withLock({ mirrors.enter(place, frame, into: mirror) })
      {
        entered += 1
      }
      space.pageTableLock.unlock()
    }
    return entered
  }
}
