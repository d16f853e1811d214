/// An amount of memory, or an offset into it: a whole number of 4 KiB pages below 2^63 bytes.
public struct MemorySize: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
  /// The base page of every machine that Holdfast models.
  public static let pageBytes: UInt64 = 4096

  /// No memory; the offset of a region's first page.
  public static let zero = MemorySize(checkedPages: 0)

  /// The amount in pages.
  public let pages: UInt64

  /// The amount in bytes.
  public var bytes: UInt64 { pages * Self.pageBytes }

  /// An amount in pages; nil if its bytes would reach 2^63.
  public init?(pages: UInt64) {
    guard pages < (1 << 63) / Self.pageBytes else { return nil }
    self.pages = pages
  }

  /// An amount in bytes; nil if that is no whole number of pages, or reaches 2^63.
  public init?(bytes: UInt64) {
    guard bytes % Self.pageBytes == 0, bytes < 1 << 63 else { return nil }
    self.pages = bytes / Self.pageBytes
  }

  private init(checkedPages: UInt64) {
    self.pages = checkedPages
  }

  /// The sum, or nil where it would reach 2^63 bytes.
  public func adding(_ other: MemorySize) -> MemorySize? {
    MemorySize(pages: pages + other.pages)
  }

  /// Whether this amount is a whole number of the other.
  public func isMultiple(of other: MemorySize) -> Bool {
    pages.isMultiple(of: other.pages)
  }

  /// Whether the amount in pages is a power of two.
  public var isPowerOfTwo: Bool { pages.nonzeroBitCount == 1 }

  /// Fewer pages come first.
  public static func < (left: MemorySize, right: MemorySize) -> Bool { left.pages < right.pages }

  /// The largest unit in which the amount is a whole number, `64 MiB`.
  public var description: String {
    let units: [(String, UInt64)] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    for (name, size) in units where bytes >= size && bytes % size == 0 {
      return "\(bytes / size) \(name)"
    }
    return "\(bytes) B"
  }
}
