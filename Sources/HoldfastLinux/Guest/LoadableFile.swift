/// The part of an ELF file that a loader reads.
///
/// Section headers and what lies behind the last segment, which is debug information as a rule, only make the
/// initial RAM disk longer.
struct LoadableFile {
  /// The file without the parts that a loader does not read; all of it if it is no such ELF file.
  private(set) var bytes: [UInt8]
  /// The program that loads the file's libraries; nil for a static one.
  private(set) var interpreter: String?

  init(_ file: [UInt8]) {
    bytes = file
    guard file.count >= 64, file.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]) else { return }
    let table = word(at: 32, bytes: 8)
    let size = word(at: 54, bytes: 2)
    let count = word(at: 56, bytes: 2)
    guard size >= 56, table <= file.count, size * count <= file.count - table else { return }
    var end = table + size * count
    for index in 0..<count {
      let header = table + index * size
      let offset = word(at: header + 8, bytes: 8)
      let length = word(at: header + 32, bytes: 8)
      guard offset <= file.count, length <= file.count - offset else { return }
      // 3 is PT_INTERP, a path that ends with a zero.
      if word(at: header, bytes: 4) == 3, length > 0 {
        interpreter = String(decoding: file[offset..<offset + length - 1], as: UTF8.self)
      }
      end = max(end, offset + length)
    }
    bytes.removeSubrange(end...)
    // No section headers: their offset, their number, and the index of the one with their names.
    for index in Array(40..<48) + Array(60..<64) { bytes[index] = 0 }
  }

  private func word(at offset: Int, bytes count: Int) -> Int {
    (0..<count).reversed().reduce(0) { $0 << 8 | Int(bytes[offset + $1]) & 0xff } & Int.max
  }
}
