import Interleaving
import Testing

/// What a field's note asks of whoever accesses it; the checks are those of debug builds.
@Suite struct LockNoteTests {
  private static let first = LockRank(rawValue: 1)
  private static let second = LockRank(rawValue: 2)

  private enum InnerRow: FixedRow {
    static var plain: Field<UInt64> { Field("plain", .container) }
    static var atomic: Field<UInt64> { plain.next("atomic", .atomicInContainer) }
    static var stride: Int { atomic.stride(align: 8) }
    static var fields: [any RowField] { [plain, atomic] }
  }

  /// A row between: its rows are protected as what lies around it says.
  private enum MiddleRow: FixedRow {
    static var rows: RowArray<InnerRow> { RowArray("row", .container, count: 2) }
    static var stride: Int { rows.stride(align: 8) }
    static var fields: [any RowField] { [rows] }
  }

  private enum OuterRow: FixedRow {
    static var lock: Field<SpinLock.Word> { Field("lock", .lock(first)) }
    static var other: Field<ReadWriteLock.Word> { lock.next("other", .lock(second)) }
    static var guarded: Field<UInt64> { other.next("guarded", .guarded(by: first)) }
    static var own: Field<UInt64> { guarded.next("own", .guarded(by: lock)) }
    static var both: Field<UInt64> { own.next("both", .bothToWrite(first, second)) }
    static var written: Field<UInt64> { both.next("written", .written(under: first)) }
    static var constant: Field<UInt64> { written.next("constant", .immutable) }
    static var owner: Field<UInt64> { constant.next("owner", .owner) }
    static var atomic: Field<UInt64> { owner.next("atomic", .atomic) }
    static var counted: Field<UInt32> { atomic.next("counted", .atomic(writtenUnder: second)) }
    static var rows: RowArray<InnerRow> { counted.next("row", .guarded(by: first), rows: 2) }
    static var middle: RowArray<MiddleRow> { rows.next("middle row", .guarded(by: first), rows: 2) }
    static var stride: Int { middle.stride(align: 8) }
    static var fields: [any RowField] {
      [lock, other, guarded, own, both, written, constant, owner, atomic, counted, rows, middle]
    }
  }

  /// A row of zeros and its locks.
  private struct Rig {
    let row: Row
    var one: SpinLock { row.lock(OuterRow.lock) }
    var other: ReadWriteLock { row.lock(OuterRow.other) }

    init() {
      let raw = UnsafeMutableRawPointer.allocate(byteCount: OuterRow.stride, alignment: 64)
      raw.initializeMemory(as: UInt8.self, repeating: 0, count: OuterRow.stride)
      row = Row(raw)
    }

    func inner(_ row: Row) -> Row { row.row(OuterRow.rows, 1) }
    func innermost(_ row: Row) -> Row { row.row(OuterRow.middle, 1).row(MiddleRow.rows, 1) }

    /// Every access that some locks allow.
    func everything(_ row: Row) {
      row[OuterRow.guarded] += 1
      row[OuterRow.own] += 1
      row[OuterRow.both] += 1
      row[OuterRow.written] += 1
      row[OuterRow.owner] += 1
      row.atomic(OuterRow.atomic).fetchAdd(1)
      row.atomic(OuterRow.counted).store(1)
      inner(row)[InnerRow.plain] += 1
      inner(row).atomic(InnerRow.atomic).store(1)
      innermost(row)[InnerRow.plain] += 1
      innermost(row).atomic(InnerRow.atomic).store(1)
    }
  }

  @Test("with its locks every field is accessible; at rest, or of a row that is not shared, without")
  func allowed() {
    let rig = Rig()
    rig.one.lock()
    rig.other.lockExclusive()
    rig.everything(rig.row)
    rig.other.unlockExclusive()
    rig.one.unlock()
    LockOrder.atRest("the row is the test's own") {
      rig.everything(rig.row)
      rig.row[OuterRow.constant] = 7
    }
    rig.everything(rig.row.unshared)
    rig.row.unshared[OuterRow.constant] = 8
    #expect(rig.row[OuterRow.constant] == 8 && rig.row[OuterRow.written] == 3)
    // One of the two is enough to read, and it may be shared.
    rig.other.lockShared()
    #expect(rig.row[OuterRow.both] == 3)
    rig.other.unlockShared()
    #expect(rig.row.atomic(OuterRow.counted).load() == 1)
  }

  @Test("no note costs anything in a release build: a row is one word, as a pointer is")
  func size() {
    #if !DEBUG && !EXPLORER
    #expect(MemoryLayout<Row>.size == 8 && MemoryLayout<AtomicUInt64>.size == 8)
    #endif
  }

  #if DEBUG
  @Test("an access without its lock ends the program in debug builds")
  func trapped() async {
    await #expect(processExitsWith: .failure) { _ = Rig().row[OuterRow.guarded] }
    await #expect(processExitsWith: .failure) { Rig().row[OuterRow.guarded] = 1 }
    await #expect(processExitsWith: .failure) { Rig().row[OuterRow.written] = 1 }
    await #expect(processExitsWith: .failure) { Rig().row[OuterRow.constant] = 1 }
    await #expect(processExitsWith: .failure) { _ = Rig().row[OuterRow.atomic] }
    await #expect(processExitsWith: .failure) { Rig().row.atomic(OuterRow.counted).fetchAdd(1) }
    await #expect(processExitsWith: .failure) { _ = Rig().inner(Rig().row)[InnerRow.plain] }
    await #expect(processExitsWith: .failure) { Rig().inner(Rig().row).atomic(InnerRow.atomic).store(1) }
  }

  @Test("of several locks the right ones are asked for: both to write, none shared, the row's own")
  func wrongLocks() async {
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      rig.one.lock()
      rig.row[OuterRow.both] = 1
    }
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      rig.one.lock()
      rig.other.lockShared()
      rig.row[OuterRow.both] = 1
    }
    await #expect(processExitsWith: .failure) {
      let (rig, other) = (Rig(), Rig())
      other.one.lock()
      _ = rig.row[OuterRow.own]
    }
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      rig.one.lock()
      rig.one.unlock()
      _ = rig.row[OuterRow.guarded]
    }
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      LockOrder.atRest("the row is the test's own") {}
      _ = rig.row[OuterRow.guarded]
    }
  }

  @Test("a row two deep asks for the locks of the row around both")
  func twoDeep() async {
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      _ = rig.innermost(rig.row)[InnerRow.plain]
    }
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      rig.innermost(rig.row)[InnerRow.plain] = 1
    }
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      rig.innermost(rig.row).atomic(InnerRow.atomic).store(1)
    }
  }

  @Test("a shared lock is not enough to write, and does not become so when another lock is given back")
  func staysShared() async {
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      rig.other.lockShared()
      rig.row.atomic(OuterRow.counted).store(1)
    }
    await #expect(processExitsWith: .failure) {
      let rig = Rig()
      rig.one.lock()
      rig.other.lockShared()
      rig.one.unlock()
      rig.row.atomic(OuterRow.counted).store(1)
    }
  }
  #endif
}
