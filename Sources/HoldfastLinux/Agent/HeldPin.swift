import HoldfastScenario
import SystemPackage

/// What a process holds under a name; dropping the last reference gives it back.
///
/// Used by one thread at a time: the coordinator asks one actor after the other, and a name belongs to one process.
final class HeldPin: @unchecked Sendable {
  // Sendable: see above; the lock of `Worker.held` hands it over.

  /// The interface that holds it.
  enum Holder: ~Copyable {
    case ring(RegisteredBuffers)
    case vfio(VFIOSession, iova: UInt64)
    case pipe(PipeReferences)
    case none
  }

  private var holder: Holder
  let pages: Int

  init(_ holder: consuming Holder, pages: Int) {
    self.holder = holder
    self.pages = pages
  }

  /// Whether QEMU's slow `edu` is the device.
  var isVFIO: Bool {
    switch holder {
    case .vfio: true
    default: false
    }
  }

  /// Gives it back, and says how many pages that were.
  func release() throws(Errno) -> Int {
    var taken = Holder.none
    swap(&taken, &holder)
    switch consume taken {
    case .ring(let ring): try ring.release()
    case .vfio(let session, let iova):
      return Int(try session.unmap(iova: iova, byteCount: pages << 12)) >> 12
    case .pipe(let pipe): _ = try pipe.drain()
    case .none: return 0
    }
    return pages
  }

  /// What the device reads through the pin.
  func read(_ range: Range<Int>) throws(Errno) -> [UInt8] {
    switch holder {
    case .ring(let ring): return try ring.contents(range)
    case .vfio(let session, let iova):
      return try session.deviceRead(iova + UInt64(range.lowerBound), range.count)
    case .pipe(let pipe): return try pipe.peek(range)
    case .none: throw .badFileDescriptor
    }
  }

  /// Lets the device write through the pin.
  func write(_ bytes: [UInt8], at offset: Int) throws(Errno) {
    switch holder {
    case .ring(let ring): try ring.store(bytes, at: offset)
    case .vfio(let session, let iova): try session.deviceWrite(bytes, at: iova + UInt64(offset))
    case .pipe: throw .notSupported
    case .none: throw .badFileDescriptor
    }
  }
}
