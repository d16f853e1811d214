import Interleaving

/// One row of the ledger: what one call pinned or got.
package struct PinRecord {
  let row: Row
  package let id: RowID

  @inline(__always)
  init(_ row: Row, id: RowID) {
    self.row = row
    self.id = id
  }

  /// The same row without checks of locks, while no other thread can reach it: not yet, or not any more.
  var unshared: PinRecord { PinRecord(row.unshared, id: id) }

  /// 0 free, 1 ordinary references (FOLL_GET), 2 pins (FOLL_PIN), 3 not yet told.
  package var kind: UInt32 {
    get { row[PinRecordRow.kind] }
    nonmutating set { row[PinRecordRow.kind] = newValue }
  }
  /// The caller.
  package var owner: ProcessID {
    get { row[PinRecordRow.owner] }
    nonmutating set { row[PinRecordRow.owner] = newValue }
  }
  /// The address space that was pinned.
  package var space: RowID {
    get { row[PinRecordRow.space] }
    nonmutating set { row[PinRecordRow.space] = newValue }
  }
  /// First virtual page.
  package var startPage: UInt64 {
    get { row[PinRecordRow.startPage] }
    nonmutating set { row[PinRecordRow.startPage] = newValue }
  }
  /// Pages taken, and those of them not yet given back.
  package var total: Int {
    get { Int(row[PinRecordRow.total]) }
    nonmutating set { row[PinRecordRow.total] = UInt32(newValue) }
  }
  package var remaining: Int {
    get { Int(row[PinRecordRow.remaining]) }
    nonmutating set { row[PinRecordRow.remaining] = UInt32(newValue) }
  }
  package var flags: PinFlags {
    get { row[PinRecordRow.flags] }
    nonmutating set { row[PinRecordRow.flags] = newValue }
  }
  /// First slot of the frames, and the order of the run of slots.
  package var slots: UInt32 {
    get { row[PinRecordRow.slots] }
    nonmutating set { row[PinRecordRow.slots] = newValue }
  }
  package var slotOrder: Int {
    get { Int(row[PinRecordRow.slotOrder]) }
    nonmutating set { row[PinRecordRow.slotOrder] = UInt32(newValue) }
  }
  /// Whom the pages are charged for.
  package var accounting: PinAccounting {
    get { PinAccounting(rawValue: row[PinRecordRow.accounting]) ?? .none }
    nonmutating set { row[PinRecordRow.accounting] = newValue.rawValue }
  }
  /// Pages that are charged to the address space for this record, and to its user (`PinAccounting`).
  package var charged: Int {
    get { Int(row[PinRecordRow.charged]) }
    nonmutating set { row[PinRecordRow.charged] = UInt32(newValue) }
  }
  package var chargedToUser: Int {
    get { Int(row[PinRecordRow.chargedToUser]) }
    nonmutating set { row[PinRecordRow.chargedToUser] = UInt32(newValue) }
  }
  /// Whether it is a buffer of a ring, which may be charged less than its folios since another buffer has them too.
  package var isOfRing: Bool {
    get { row[PinRecordRow.isOfRing] != 0 }
    nonmutating set { row[PinRecordRow.isOfRing] = newValue ? 1 : 0 }
  }
  /// The processor of the caller, whose counters the release goes to.
  package var processor: Int {
    get { Int(row[PinRecordRow.processor]) }
    nonmutating set { row[PinRecordRow.processor] = UInt32(newValue) }
  }
  /// Whether the pages are marked dirty when the record ends.
  var marksDirty: Bool {
    get { row[PinRecordRow.marksDirty] != 0 }
    nonmutating set { row[PinRecordRow.marksDirty] = newValue ? 1 : 0 }
  }
  /// The caller's name then: the process may be gone when someone asks who holds a page.
  package var ownerName: ProcessName {
    get { row[PinRecordRow.ownerName] }
    nonmutating set { row[PinRecordRow.ownerName] = newValue }
  }
  /// Logical time of the call.
  package var tick: UInt64 {
    get { row[PinRecordRow.tick] }
    nonmutating set { row[PinRecordRow.tick] = newValue }
  }
  /// What the pin is for, up to 32 bytes.
  package var purpose: PinLabel {
    get { row[PinRecordRow.purpose] }
    nonmutating set { row[PinRecordRow.purpose] = newValue }
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
