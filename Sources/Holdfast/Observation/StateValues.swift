import Interleaving

/// Values of the words of a machine's state, for the schedules that an explorer prints.
extension StateObservation {
  /// What an operation found in a word and left there, such as `1 -> 1025`, or the one value if it left it alone.
  ///
  /// - Parameters:
  ///   - before: all state as it was before the operation.
  ///   - isWrite: whether the operation may have written.
  /// - Returns: nil for an address outside the tables.
  package func stateChange(at address: UInt, since before: [UInt8], isWrite: Bool) -> String? {
    guard let place = statePlace(at: address), before.count == machine.layout.size else { return nil }
    let now = text(place, machine.state)
    if !isWrite { return now }
    let then = before.withUnsafeBytes { text(place, $0) }
    guard let now, let then else { return nil }
    return now == then ? now : "\(then) -> \(now)"
  }

  func text(_ place: StatePlace, _ state: UnsafeRawBufferPointer) -> String? {
    guard let type = place.type as? any ShownValue.Type, let base = state.baseAddress else { return nil }
    return type.shown(at: base + place.offset)
  }
}

/// What can stand in a field, in words.
protocol ShownValue: BitwiseCopyable {
  var shown: String { get }
}

extension ShownValue {
  /// What stands at an address.
  static func shown(at raw: UnsafeRawPointer) -> String { raw.loadUnaligned(as: Self.self).shown }
}

extension ShownValue where Self: CustomStringConvertible {
  var shown: String { description }
}

extension ShownValue where Self: RawRepresentable, RawValue: BinaryInteger {
  var shown: String { "0x" + String(rawValue, radix: 16) }
}

extension Int32: ShownValue {}
extension Int: ShownValue {}

extension UInt32: ShownValue {
  // A count from which too much was subtracted is below zero.
  var shown: String { "\(Int32(bitPattern: self))" }
}

extension UInt64: ShownValue {
  var shown: String { "\(Int64(bitPattern: self))" }
}

extension SpinLock.Word: ShownValue {}
extension ReadWriteLock.Word: ShownValue {}
extension SequenceCount.Word: ShownValue {}
extension ProcessName: ShownValue {}
extension BitCell: ShownValue {}
extension BitWord: ShownValue {}

extension RowID: ShownValue {
  var shown: String { self == .none ? "none" : "\(rawValue)" }
}

extension FrameNumber: ShownValue {
  var shown: String { description }
}
extension ProcessID: ShownValue {
  var shown: String { description }
}

extension PageFlags: ShownValue {
  var shown: String {
    let names = Self.names.enumerated().filter { rawValue >> UInt64($0.offset) & 1 != 0 }.map(\.element)
    return names.isEmpty ? "none" : names.joined(separator: "|")
  }
}

extension PageState: ShownValue {
  var shown: String { order == 0 ? "\(type)" : "\(type) of order \(order)" }
}

extension PageMapping: ShownValue {
  var shown: String {
    if rawValue == 0 { return "none" }
    return isAnonymous ? "anonymous group \(rawValue >> 2)" : "object \(rawValue >> 2)"
  }
}

extension BlockStateWord: ShownValue {
  var shown: String { "\(state)" }
}

extension PageTableEntry: ShownValue {
  var shown: String {
    if isNone { return "none" }
    if isTable { return "table page \(tableID.rawValue)" }
    if isMigration { return "migration of \(frame)" }
    if isExclusive { return "a device's \(frame) \(swapKind == .exclusiveWrite ? "rw" : "r")" }
    guard mapsFrame else { return "0x" + String(rawValue, radix: 16) }
    var text = "\(frame) \(isWritable ? "rw" : "r")"
    if isProtNone { text += " none" }
    if isHuge { text += " huge" }
    return text
  }
}

extension VirtualMemoryAreaFlags: ShownValue {}
extension PinFlags: ShownValue {}
extension AllocationScope: ShownValue {}
extension Capabilities: ShownValue {}
extension PinLabel: ShownValue {}
extension AllocationRoute: ShownValue {}
