/// The bytes that `write` stores and `check` expects.
public enum Pattern: Sendable, Hashable {
  /// Every 8-byte word differs from every other of the region, so that a page in the wrong place is noticed.
  case sequence(seed: UInt64)
  /// The same byte everywhere.
  case byte(UInt8)

  /// The word at an offset that is a multiple of eight, counted from the start of the region that is
  /// addressed, or that the pin was taken through.
  public func word(at offset: UInt64) -> UInt64 {
    let (step, key) = linear
    return (offset / 8 &+ 1) &* step ^ key
  }

  /// What the words are made of: word number n, counted from 0, is ((n + 1) * step) ^ key.
  public var linear: (step: UInt64, key: UInt64) {
    switch self {
    // Odd multipliers are bijections modulo 2^64: two words of one region are equal only at one offset.
    case .sequence(let seed): (0x9E37_79B9_7F4A_7C15, seed &* 0xD6E8_FEB8_6659_FD93)
    case .byte(let byte): (0, UInt64(byte) &* 0x0101_0101_0101_0101)
    }
  }
}
