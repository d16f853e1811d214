import Interleaving
import SystemPackage

/// What distinguishes this build of the program from any other.
enum BuildIdentity {
  /// A hash of the program's file; of its name alone if it cannot be read.
  static let hash: String = {
    let path = FilePath("/proc/self/exe")
    var hash = Hash64()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
    defer { buffer.deallocate() }
    guard let file = try? FileDescriptor.open(path, .readOnly) else { return "unknown build" }
    defer { try? file.close() }
    while let count = try? file.read(into: buffer), count > 0 {
      hash.combine(memory: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
    }
    return String(hash.value, radix: 16)
  }()
}
