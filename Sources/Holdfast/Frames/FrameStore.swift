import CLinux
import SystemPackage

/// Where the contents of frames are: one memfd for every memory block, mapped as a linear window.
///
/// A block gets its bytes under the tables lock when metadata of one of its sections is made. It loses them
/// under the hotplug lock, only while none of its frames is allocated. The window itself stays where it is,
/// so reading and writing frames needs no lock.
final class FrameStore: @unchecked Sendable {
  // Sendable: what `descriptors` points to is written under the locks above, a word for every block; the rest
  // is immutable.
  private let window: UnsafeMutableRawPointer
  private let windowSize: UInt64
  private let blockBytes: UInt64
  private let descriptors: UnsafeMutablePointer<Int32>
  private let blocks: Int

  /// Reserves the window for `frames` frames.
  init(frames: Int, blockFrames: Int) throws(Errno) {
    blockBytes = UInt64(blockFrames * pageSize)
    blocks = (frames + blockFrames - 1) / blockFrames
    windowSize = UInt64(blocks) * blockBytes
    var at: UnsafeMutableRawPointer?
    let result = hf_reserve(&at, max(windowSize, 4096), false)
    guard result == 0, let at else { throw Errno(rawValue: CInt(-result)) }
    window = at
    descriptors = .allocate(capacity: blocks)
    descriptors.initialize(repeating: -1, count: blocks)
  }

  deinit {
    for block in 0..<blocks where descriptors[block] >= 0 { _ = hf_close(descriptors[block]) }
    descriptors.deallocate()
    _ = hf_release_range(window, max(windowSize, 4096))
  }

  /// The bytes of a frame of a block that has bytes.
  @inline(__always)
  func bytes(_ frame: FrameNumber) -> UnsafeMutableRawPointer { window + frame.index &* pageSize }

  /// Whether the block has bytes.
  func hasBytes(_ block: BlockID) -> Bool { descriptors[block.rawValue] >= 0 }

  /// Gives a block its bytes: a new memfd, mapped at the block's place in the window.
  ///
  /// The host allocates nothing until the bytes are touched.
  func populate(_ block: BlockID) throws(Errno) {
    guard descriptors[block.rawValue] < 0 else { return }
    let descriptor = hf_memfd_create("holdfast-\(block)", true)
    guard descriptor >= 0 else { throw Errno(rawValue: CInt(-descriptor)) }
    var result = hf_ftruncate(Int32(descriptor), blockBytes)
    if result >= 0 { result = hf_map_shared(place(of: block), blockBytes, Int32(descriptor), 0) }
    guard result >= 0 else {
      _ = hf_close(Int32(descriptor))
      throw Errno(rawValue: CInt(-result))
    }
    descriptors[block.rawValue] = Int32(descriptor)
  }

  /// Takes a block's bytes away and gives the memory back to the host.
  ///
  /// The window is unmapped, the memfd sealed against writing and closed. The host refuses the seal with
  /// EBUSY while anything still pins one of the bytes; the block then keeps them, mapped as before.
  func depopulate(_ block: BlockID) throws(Errno) {
    let descriptor = descriptors[block.rawValue]
    guard descriptor >= 0 else { return }
    var result = hf_unmap_to_reserved(place(of: block), blockBytes)
    guard result >= 0 else { throw Errno(rawValue: CInt(-result)) }
    result = hf_seal_against_write(descriptor)
    guard result >= 0 else {
      let restored = hf_map_shared(place(of: block), blockBytes, descriptor, 0)
      guard restored >= 0 else { fatalError("\(block) cannot be mapped again: errno \(-restored)") }
      throw Errno(rawValue: CInt(-result))
    }
    _ = hf_close(descriptor)
    descriptors[block.rawValue] = -1
  }

  /// Bytes that the host has allocated for a block.
  func allocatedBytes(_ block: BlockID) -> UInt64 {
    let descriptor = descriptors[block.rawValue]
    return descriptor >= 0 ? hf_allocated_bytes(descriptor) : 0
  }

  private func place(of block: BlockID) -> UnsafeMutableRawPointer {
    window + block.rawValue * Int(blockBytes)
  }
}
