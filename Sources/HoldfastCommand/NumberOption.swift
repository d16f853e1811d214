import ArgumentParser

/// Options that are numbers: the range is said once, and in the message for what is outside it.
///
/// The options take the next argument whatever it begins with, so that `--time -1` is a wrong number and not a
/// missing one.
enum NumberOption {
  /// What an option may be, which the argument is not.
  struct Mismatch: Error, CustomStringConvertible {
    let description: String
  }

  /// Reads a whole number in a range.
  static func whole<Number: FixedWidthInteger & Sendable>(
    _ range: ClosedRange<Number>
  ) -> @Sendable (String) throws -> Number {
    { text in
      guard let number = Number(text), range.contains(number) else {
        throw Mismatch(
          description: "expected a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    }
  }

  /// Reads a number of seconds.
  @Sendable
  static func seconds(_ text: String) throws -> Double {
    guard let number = Double(text), number > 0, number <= 1_000_000 else {
      throw Mismatch(description: "expected seconds above 0, at most 1000000")
    }
    return number
  }
}
