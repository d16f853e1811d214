import HoldfastScenario

/// Numbers with their units, as a reader says them.
enum Amounts {
  /// `1 page`, `16384 pages`.
  static func count(_ number: Int64, _ name: String) -> String {
    "\(number) \(name)\(number == 1 ? "" : "s")"
  }

  /// `16384 pages (64 MiB)`.
  static func pages(_ number: Int64) -> String {
    "\(count(number, "page")) (\(bytes(number.multipliedReportingOverflow(by: 4096).partialValue)))"
  }

  /// The largest unit that leaves at least one, with a decimal where it is not exact.
  static func bytes(_ number: Int64) -> String {
    let units: [(String, Int64)] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
    for (name, size) in units where number >= size {
      if number % size == 0 { return "\(number / size) \(name)" }
      return "\(number / size).\(number % size * 10 / size) \(name)"
    }
    return "\(number) B"
  }

  /// `16384`, or `16384 -> 0` where it changed.
  static func change(_ before: Int64?, _ after: Int64?) -> String {
    guard let before, let after else { return before ?? after != nil ? "?" : "-" }
    return before == after ? "\(before)" : "\(before) -> \(after)"
  }
}
