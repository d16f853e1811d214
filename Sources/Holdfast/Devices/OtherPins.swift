import Interleaving
import SystemPackage

/// Memory that an adapter reaches, as of RDMA: pinned in chunks, and charged before.
///
/// It may begin and end anywhere, and costs every page that it touches. The end of the value unpins it.
public struct MemoryRegion: ~Copyable {
  private let pins: PinnedPages
  /// Pages that are pinned.
  public let pages: Int
  private let isWritable: Bool

  /// Pins memory of a process.
  ///
  /// Up to 6.1 memory that the adapter only reads is pinned as if it were written, by force, so that it is the
  /// program's own from then on. Later a read-only long-term pin is enough for that.
  ///
  /// - Throws: EINVAL for a range that wraps around or touches no page; EPERM without any right to lock memory; ENOMEM
  ///   beyond the limit; what pins throw. Nothing is pinned or charged then.
  /// - Kernel: drivers/infiniband/core/umem.c:ib_umem_get (6.1); without the scatter list, mapping for the device.
  public init(
    _ machine: Machine, of process: Process, at address: VirtualAddress, length: UInt64, write: Bool = true
  ) throws(PinError) {
    let (end, wraps) = address.rawValue.addingReportingOverflow(length)
    let (rounded, beyond) = end.addingReportingOverflow(UInt64(pageSize - 1))
    guard !wraps, !beyond else {
      throw PinError(.arguments, .badRange, .invalidArgument, address: address)
    }
    guard process.memlockLimit > 0 || process.capabilities.contains(.ipcLock) else {
      throw PinError(.account, .memlock("RLIMIT_MEMLOCK is 0"), .notPermitted, address: address)
    }
    let count = (rounded >> 12) - address.page
    guard count > 0, count <= UInt64(UInt32.max) else {
      throw PinError(.arguments, .badRange, .invalidArgument, address: address)
    }
    let reading: PinFlags = machine.policy.unsharesAnyPrivate ? .longterm : [.write, .force, .longterm]
    let pinned = try machine.pin(
      process, at: VirtualAddress(page: address.page), pages: Int(count),
      flags: write ? [.write, .longterm] : reading, purpose: PinLabel("rdma"), accounting: .pinned)
    pages = pinned.count
    isWritable = write
    pins = pinned
  }

  /// Unpins it; pages that the adapter may have written are marked dirty.
  ///
  /// - Kernel: drivers/infiniband/core/umem.c:ib_umem_release (6.1); without unmapping for the device.
  public consuming func release() {
    let isWritable = isWritable
    pins.unpin(markDirty: isWritable)
  }
}

/// References to a process's pages in a pipe, as of vmsplice: ordinary ones, that nothing tells from others.
///
/// The end of the value drops them.
public struct SplicedPages: ~Copyable {
  private let references: GottenPages
  /// Pages that are in the pipe.
  public let pages: Int

  /// The pages that a pipe has room for unless it is made larger (PIPE_DEF_BUFFERS).
  public static let capacity = 16

  /// Puts pages of a process into a pipe, as many as it has room for.
  ///
  /// - Throws: EINVAL for an empty range, for which vmsplice has nothing to do and returns 0; what `get` throws.
  /// - Kernel: fs/splice.c:vmsplice_to_pipe (6.1); without the pipe, waiting for room in it.
  public init(
    _ machine: Machine, of process: Process, at address: VirtualAddress, length: UInt64
  ) throws(PinError) {
    let (end, wraps) = address.rawValue.addingReportingOverflow(length + UInt64(pageSize - 1))
    guard length > 0, !wraps else {
      throw PinError(.arguments, .badRange, .invalidArgument, address: address)
    }
    let wanted = Int(clamping: end >> 12 - address.page)
    let taken = try machine.get(
      process, at: VirtualAddress(page: address.page), pages: min(wanted, Self.capacity), flags: [],
      purpose: PinLabel("vmsplice"))
    pages = taken.count
    references = taken
  }

  /// The frame of a page in the pipe.
  public subscript(index: Int) -> FrameNumber { references[index] }
}

extension Machine {
  /// Transfers a process's memory past the page cache, as a read or write with O_DIRECT of a block device.
  ///
  /// It holds pages for the call alone, in batches of at most as many as one request of a block device takes. Up to
  /// 6.1 these are ordinary references (lib/iov_iter.c:iov_iter_get_pages2 (6.1)), of which a fork takes no notice; pins
  /// come later (lib/iov_iter.c:iov_iter_extract_pages (6.12)).
  ///
  /// - Parameters:
  ///   - process: the caller.
  ///   - address: where the memory begins.
  ///   - length: its bytes.
  ///   - fills: whether the transfer writes the memory, as a read of a file does; its pages are marked dirty then.
  ///   - body: is called with the frames of each batch, and the place of the first in the range.
  /// - Returns: the pages that were transferred: fewer than the range has if one cannot be pinned.
  /// - Throws: EINVAL for a range that is not whole sectors of 512 bytes; what `pin` or `get` throws for the first page.
  /// - Kernel: block/bio.c:__bio_iov_iter_get_pages (6.1); without the request.
  /// - Kernel: block/fops.c:__blkdev_direct_IO (mainline); without the device, asynchronous requests.
  @discardableResult
  public func directTransfer(
    _ process: Process, at address: VirtualAddress, length: UInt64, fills: Bool,
    _ body: (UnsafeBufferPointer<FrameNumber>, Int) -> Void
  ) throws(PinError) -> Int {
    let (end, wraps) = address.rawValue.addingReportingOverflow(length + UInt64(pageSize - 1))
    guard length > 0, !wraps, (address.rawValue | length) & 511 == 0 else {
      throw PinError(.arguments, .badRange, .invalidArgument, address: address)
    }
    let pages = Int(clamping: end >> 12 - address.page)
    var done = 0
    while done < pages {
      let count = min(pages - done, 256)
      do throws(PinError) {
        let start = VirtualAddress(page: address.page + UInt64(done))
        let got = try transfer(process, at: start, pages: count, fills: fills) { body($0, done) }
        done += got
        if got < count { return done }
      } catch {
        if done > 0 { return done }
        throw error
      }
    }
    return done
  }
  /// One batch; returns how many pages were held for it.
  private func transfer(
    _ process: Process, at start: VirtualAddress, pages: Int, fills: Bool,
    _ body: (UnsafeBufferPointer<FrameNumber>) -> Void
  ) throws(PinError) -> Int {
    let flags: PinFlags = fills ? .write : []
    let purpose = PinLabel("direct-io")
    if policy.pinsDirectTransfers {
      let pins = try pin(process, at: start, pages: pages, flags: flags, purpose: purpose)
      pins.withFrames(body)
      let count = pins.count
      pins.unpin(markDirty: fills)
      return count
    }
    let references = try get(process, at: start, pages: pages, flags: flags, purpose: purpose)
    references.withFrames { frames in
      body(frames)
      for frame in frames where fills {
        let folio = memmap.page(memmap.head(of: frame))
        folio.lock.lock()
        folio.set(.dirty)
        folio.lock.unlock()
      }
    }
    let count = references.count
    references.put()
    return count
  }
}

extension PlacementPolicy {
  /// Whether transfers past the page cache pin (mainline); it came after the reliable read-only pins of 6.2.
  fileprivate var pinsDirectTransfers: Bool { unsharesAnyPrivate }
}
