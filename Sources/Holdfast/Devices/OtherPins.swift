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
  /// - Throws: EINVAL for an empty range or one that wraps around; EPERM without any right to lock memory; ENOMEM beyond the
  ///   limit; what pins throw. Nothing is pinned or charged then.
  /// - Kernel: drivers/infiniband/core/umem.c:ib_umem_get (6.1); without the scatter list, mapping for the device.
  public init(
    _ machine: Machine, of process: Process, at address: VirtualAddress, length: UInt64, write: Bool = true
  ) throws(PinError) {
    let (end, wraps) = address.rawValue.addingReportingOverflow(length)
    let (rounded, beyond) = end.addingReportingOverflow(UInt64(pageSize - 1))
    let count = (rounded >> 12) &- address.page
    guard !wraps, !beyond, length > 0, count <= UInt64(UInt32.max) else {
      throw PinError(.arguments, .badRange, .invalidArgument, address: address)
    }
    guard process.memlockLimit > 0 || process.capabilities.contains(.ipcLock) else {
      throw PinError(.account, .memlock("RLIMIT_MEMLOCK is 0"), .notPermitted, address: address)
    }
    let pinned = try machine.pin(
      process, at: VirtualAddress(page: address.page), pages: Int(count),
      flags: write ? [.write, .longterm] : .longterm, purpose: PinLabel("rdma"), accounting: .pinned)
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
  /// - Throws: EINVAL for an empty range; what `get` throws.
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
  /// Transfers a process's memory past the page cache, as a read or write with O_DIRECT: pins that end with the call.
  ///
  /// Pages are pinned in batches of at most as many as one request of a block device takes.
  ///
  /// - Parameters:
  ///   - fills: whether the transfer writes the memory, as a read of a file does; its pages are marked dirty then.
  ///   - body: is called with the frames of each batch, and the place of the first in the range.
  /// - Returns: the pages that were transferred: fewer than the range has if one cannot be pinned.
  /// - Throws: EINVAL for a range that is not whole sectors of 512 bytes; what `pin` throws for the first page.
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
        let pins = try pin(
          process, at: VirtualAddress(page: address.page + UInt64(done)), pages: count,
          flags: fills ? .write : [], purpose: PinLabel("direct-io"))
        pins.withFrames { body($0, done) }
        let got = pins.count
        pins.unpin(markDirty: fills)
        done += got
        if got < count { return done }
      } catch {
        if done > 0 { return done }
        throw error
      }
    }
    return done
  }
}
