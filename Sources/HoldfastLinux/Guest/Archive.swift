/// An archive as the kernel unpacks it into its first file system: cpio, in the "newc" form.
struct Archive {
  private(set) var bytes: [UInt8] = []
  private var inode = 0
  private var folders: Set<String> = []

  /// Adds a regular file, and the folders that lead to it.
  mutating func add(file path: String, _ contents: [UInt8], executable: Bool = true) {
    add(path, mode: 0o100000 | (executable ? 0o755 : 0o644), contents)
  }

  /// Adds a symbolic link.
  mutating func add(link path: String, to target: String) {
    add(path, mode: 0o120777, Array(target.utf8))
  }

  /// Adds a character device.
  mutating func add(device path: String, major: Int, minor: Int) {
    add(path, mode: 0o020600, [], device: (major, minor))
  }

  /// Adds an empty folder, and those that lead to it.
  mutating func add(folder path: String) {
    guard folders.insert(path).inserted else { return }
    add(path, mode: 0o040755, [])
  }

  /// The whole archive.
  consuming func finished() -> [UInt8] {
    entry("TRAILER!!!", mode: 0, [], device: (0, 0))
    return bytes
  }

  private mutating func add(_ path: String, mode: Int, _ contents: [UInt8], device: (Int, Int) = (0, 0)) {
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex { add(folder: String(path[..<slash])) }
    entry(path.hasPrefix("/") ? String(path.dropFirst()) : path, mode: mode, contents, device: device)
  }

  /// A header of 13 hexadecimal fields, the name and the contents, both filled up to whole words.
  private mutating func entry(_ name: String, mode: Int, _ contents: [UInt8], device: (Int, Int)) {
    inode += 1
    let nameBytes = Array(name.utf8) + [0]
    bytes += Array("070701".utf8)
    let fields = [
      inode, mode, 0, 0, 1, 0, contents.count, 0, 0, device.0, device.1, nameBytes.count, 0,
    ]
    for field in fields {
      let digits = String(field, radix: 16, uppercase: true)
      bytes += Array(repeatElement("0", count: 8 - digits.count).joined().utf8) + Array(digits.utf8)
    }
    bytes += nameBytes
    fill()
    bytes += contents
    fill()
  }

  private mutating func fill() {
    while !bytes.count.isMultiple(of: 4) { bytes.append(0) }
  }
}
