extension Value {
  /// An amount of memory that is not zero: `64MiB`, `16384 pages`, `{frames: 64}`, or bytes.
  func size() throws(ScenarioError) -> MemorySize {
    let size = try offset()
    guard size != .zero else { throw error("\(what) must not be zero") }
    return size
  }

  /// An amount of memory, zero included.
  func offset() throws(ScenarioError) -> MemorySize {
    if let scalar { return try Self.parse(scalar, for: self) }
    guard isMapping else { throw error("\(what) must be a size; found \(found)") }
    let fields = try fields(["pages", "frames"])
    guard fields.names.count == 1, let count = fields["pages"] ?? fields["frames"] else {
      throw error("\(what) must be given in pages or in frames")
    }
    guard let scalar = count.scalar, let number = Self.number(scalar) else {
      throw count.error("\(count.what) must be a whole number; found \(count.found)")
    }
    return try Self.pages(number, for: count)
  }

  private static let units: [(name: String, bytes: Int128)] = [
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
  ]

  private static func parse(_ text: String, for value: Value) throws(ScenarioError) -> MemorySize {
    let split = text.firstIndex { !($0.isHexDigit || "x_-+.".contains($0)) } ?? text.endIndex
    let unit = text[split...].drop { $0 == " " }
    guard let number = number(String(text[..<split])) else {
      throw value.error(
        "\(value.what) must be a size such as 64MiB, \"16 pages\" or 4096; found \(value.found)")
    }
    switch unit {
    case "": return try bytes(number, 1, for: value)
    case "page", "pages", "frame", "frames": return try pages(number, for: value)
    default:
      guard let known = units.first(where: { $0.name == unit }) else {
        throw ScenarioError(
          "unknown unit \"\(unit)\" in \(value.what)", at: value.location,
          allowed: units.map(\.name) + ["pages", "frames"],
          suggestion: Spelling.nearestUnit(String(unit), among: units.map(\.name)))
      }
      return try bytes(number, known.bytes, for: value)
    }
  }

  private static func pages(_ number: Int128, for value: Value) throws(ScenarioError) -> MemorySize {
    try bytes(number, Int128(MemorySize.pageBytes), for: value)
  }

  private static func bytes(_ number: Int128, _ unit: Int128, for value: Value) throws(ScenarioError)
    -> MemorySize
  {
    if number < 0 { throw value.error("\(value.what) must not be negative; found \(value.found)") }
    let (product, overflow) = number.multipliedReportingOverflow(by: unit)
    guard !overflow, product < 1 << 63 else {
      throw value.error("\(value.what) must be below 2^63 bytes; found \(value.found)")
    }
    guard let size = MemorySize(bytes: UInt64(product)) else {
      throw value.error(
        "\(value.what) must be a multiple of the page size, \(MemorySize.pageBytes) bytes; found \(value.found)"
      )
    }
    return size
  }

  /// A size, or `25%` of the machine's memory.
  func amount() throws(ScenarioError) -> MachineSpec.Amount {
    if let scalar, scalar.hasSuffix("%") {
      guard let percent = Int(scalar.dropLast()), (1...99).contains(percent) else {
        throw error("\(what) must be from 1% to 99%; found \(found)")
      }
      return .percent(percent)
    }
    return .size(try size())
  }

  /// A size, or `unlimited`.
  func memlock() throws(ScenarioError) -> MemlockLimit {
    if let scalar, scalar == "unlimited" { return .unlimited }
    if let scalar, scalar.first?.isLetter == true {
      throw unknown(scalar, allowed: ["unlimited", "a size"])
    }
    return .limited(try offset())
  }
}

extension Spelling {
  /// Units are often written in the decimal way, `MB` or `M`, or in another case.
  static func nearestUnit(_ unit: String, among units: [String]) -> String? {
    units.first { $0.first?.lowercased() == unit.first?.lowercased() }
  }
}
