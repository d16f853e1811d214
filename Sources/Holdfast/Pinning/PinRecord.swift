import Interleaving

/// One row of the ledger: what one call pinned or got.
package struct PinRecord {
  static let stride = 128

  let row: Row
  package let id: RowID

  init(_ raw: UnsafeMutableRawPointer, id: RowID) {
    row = Row(raw)
    self.id = id
  }

  /// 0 free (then the second word links), 1 ordinary references (FOLL_GET), 2 pins (FOLL_PIN).
  ///
  /// Ledger lock.
  package var kind: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  /// The caller.
  package var owner: ProcessID {
    get { ProcessID(rawValue: row.plain(8)) }
    nonmutating set { row.setPlain(8, newValue.rawValue) }
  }
  /// The address space that was pinned.
  package var space: RowID {
    get { RowID(rawValue: row.plain(12)) }
    nonmutating set { row.setPlain(12, newValue.rawValue) }
  }
  /// First virtual page.
  package var startPage: UInt64 {
    get { row.plain(16) }
    nonmutating set { row.setPlain(16, newValue) }
  }
  /// Pages taken, and those of them not yet given back.
  package var total: Int {
    get { Int(row.plain(24, as: UInt32.self)) }
    nonmutating set { row.setPlain(24, UInt32(newValue)) }
  }
  package var remaining: Int {
    get { Int(row.plain(28, as: UInt32.self)) }
    nonmutating set { row.setPlain(28, UInt32(newValue)) }
  }
  package var flags: PinFlags {
    get { PinFlags(rawValue: row.plain(32)) }
    nonmutating set { row.setPlain(32, newValue.rawValue) }
  }
  /// First slot of the frames, and the order of the run of slots.
  package var slots: UInt32 {
    get { row.plain(36) }
    nonmutating set { row.setPlain(36, newValue) }
  }
  package var slotOrder: Int {
    get { Int(row.plain(40, as: UInt32.self)) }
    nonmutating set { row.setPlain(40, UInt32(newValue)) }
  }
  /// Whom the pages are charged for.
  ///
  /// Ledger lock.
  package var accounting: PinAccounting {
    get { PinAccounting(rawValue: row.plain(44)) ?? .none }
    nonmutating set { row.setPlain(44, newValue.rawValue) }
  }
  /// Pages that are charged to the address space for this record, and to its user (`PinAccounting`).
  ///
  /// Ledger lock.
  package var charged: Int {
    get { Int(row.plain(112, as: UInt32.self)) }
    nonmutating set { row.setPlain(112, UInt32(newValue)) }
  }
  package var chargedToUser: Int {
    get { Int(row.plain(116, as: UInt32.self)) }
    nonmutating set { row.setPlain(116, UInt32(newValue)) }
  }
  /// The processor of the caller, whose counters the release goes to.
  package var processor: Int {
    get { Int(row.plain(88, as: UInt32.self)) }
    nonmutating set { row.setPlain(88, UInt32(newValue)) }
  }
  /// Whether the pages are marked dirty when the record ends.
  ///
  /// The holder's.
  var marksDirty: Bool {
    get { row.plain(92, as: UInt32.self) != 0 }
    nonmutating set { row.setPlain(92, UInt32(newValue ? 1 : 0)) }
  }
  /// The caller's name then: the process may be gone when someone asks who holds a page.
  package var ownerName: String { Process.name(in: row, at: 96) }
  func copyName(of process: Process) {
    for word in 0..<2 { row.setPlain(96 + word * 8, process.row.plain(40 + word * 8, as: UInt64.self)) }
  }
  /// Logical time of the call.
  package var tick: UInt64 {
    get { row.plain(48) }
    nonmutating set { row.setPlain(48, newValue) }
  }
  /// What the pin is for, up to 32 bytes.
  package var purpose: PinLabel {
    get { row.plain(56) }
    nonmutating set { row.setPlain(56, newValue) }
  }
}

/// What a pin is for, in a word or two: "vfio", "io_uring buffer 3".
///
/// Kept inline, up to 32 bytes of UTF-8, so that recording it costs no allocation.
public struct PinLabel: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
  private var bytes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  /// A purpose; what exceeds 32 bytes is cut off.
  public init(_ text: String) {
    withUnsafeMutableBytes(of: &bytes) { buffer in
      for (i, byte) in text.utf8.prefix(32).enumerated() { buffer[i] = byte }
    }
  }

  /// The text.
  public var description: String {
    withUnsafeBytes(of: bytes) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  /// Equal when the texts are.
  public static func == (one: PinLabel, other: PinLabel) -> Bool { one.bytes == other.bytes }

  /// Hashes the text.
  public func hash(into hasher: inout Hasher) { withUnsafeBytes(of: bytes) { hasher.combine(bytes: $0) } }
}
