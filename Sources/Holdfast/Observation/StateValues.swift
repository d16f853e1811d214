import Interleaving

/// A word of a machine's state, as it is shown.
struct StateWord: ExpressibleByStringInterpolation {
  /// What stands in it.
  enum Form {
    case number, number64, bits, lock, readWrite, flags, type, block, mapping, entry
  }

  let name: String
  let form: Form

  init(_ name: String, _ form: Form) {
    self.name = name
    self.form = form
  }

  init(stringLiteral name: String) { self.init(name, .number) }
}

/// Values of the words of a machine's state, for the schedules that an explorer prints.
extension Machine {
  /// What an operation found in a word and left there, such as `1 -> 1025`, or the one value if it left it alone.
  ///
  /// - Parameters:
  ///   - before: all state as it was before the operation.
  ///   - isWrite: whether the operation may have written.
  /// - Returns: nil for an address outside the tables.
  package func stateChange(at address: UInt, since before: [UInt8], isWrite: Bool) -> String? {
    guard let place = statePlace(at: address), before.count == layout.size else { return nil }
    let now = text(place, state)
    if !isWrite { return now }
    let then = before.withUnsafeBytes { text(place, $0) }
    guard let now, let then else { return nil }
    return now == then ? now : "\(then) -> \(now)"
  }

  func text(_ place: StatePlace, _ state: UnsafeRawBufferPointer) -> String? {
    guard place.offset % 4 == 0, place.offset + 8 <= state.count else { return nil }
    let word = state.load(fromByteOffset: place.offset, as: UInt32.self)
    let wide =
      place.offset % 8 == 0 ? state.load(fromByteOffset: place.offset, as: UInt64.self) : UInt64(word)
    switch place.word.form {
    case .number: return "\(Int32(bitPattern: word))"
    case .number64: return "\(Int64(bitPattern: wide))"
    case .bits: return "0x" + String(word, radix: 16)
    case .lock: return word == 0 ? "free" : "held"
    case .readWrite:
      if word == 0 { return "free" }
      return word >> 31 != 0 ? "held to write" : "held by \(word) to read"
    case .flags: return Self.flagNames(wide)
    case .type:
      let state = PageState(rawValue: word)
      return state.order == 0 ? "\(state.type)" : "\(state.type) of order \(state.order)"
    case .block: return "\(BlockState(number: UInt32(truncatingIfNeeded: word)))"
    case .mapping:
      if word == 0 { return "none" }
      return word & 1 != 0 ? "anonymous group \(word >> 2)" : "object \(word >> 2)"
    case .entry: return Self.text(PageTableEntry(rawValue: wide))
    }
  }

  private static func flagNames(_ word: UInt64) -> String {
    let names = PageFlags.names.enumerated().filter { word >> UInt64($0.offset) & 1 != 0 }.map(\.element)
    return names.isEmpty ? "none" : names.joined(separator: "|")
  }

  private static func text(_ entry: PageTableEntry) -> String {
    if entry.isNone { return "none" }
    if entry.isTable { return "table page \(entry.tableID.rawValue)" }
    if entry.isMigration { return "migration of \(entry.frame)" }
    guard entry.mapsFrame else { return "0x" + String(entry.rawValue, radix: 16) }
    var text = "\(entry.frame) \(entry.isWritable ? "rw" : "r")"
    if entry.isProtNone { text += " none" }
    if entry.isHuge { text += " huge" }
    return text
  }
}
