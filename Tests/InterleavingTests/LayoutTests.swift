import Interleaving
import Testing

/// What a row's declaration says, and what is found wrong with one.
@Suite struct LayoutTests {
  private enum PairRow: FixedRow {
    static var one: Field<Int32> { Field("one", .atomic) }
    static var other: Field<UInt32> { one.next("other", .owner) }
    static var stride: Int { other.stride(align: 8) }
    static var fields: [any RowField] { [one, other] }
  }

  private enum Colour: CaseIterable {
    case red, green
    static var count: Int { 2 }
  }

  private enum WideRow: FixedRow {
    static var small: Field<UInt32> { Field("small", .owner) }
    static var wide: Field<UInt64> { small.next("wide", .owner) }
    static var colours: FieldArray<UInt32> {
      wide.next("colour", .atomic, count: Colour.count, by: Colour.self)
    }
    static var pairs: RowArray<PairRow> { colours.next("pair", .atomic, rows: 3, align: 32) }
    static var last: Field<UInt64> { pairs.next("last", .owner) }
    static var stride: Int { last.stride(align: 64) }
    static var fields: [any RowField] { [small, wide, colours, pairs, last] }
  }

  @Test("a field lies behind the one before, aligned; a row ends behind its last one")
  func offsets() {
    #expect(WideRow.fields.map(\.offset) == [0, 8, 16, 32, 56])
    #expect(WideRow.stride == 64)
    #expect(WideRow.flaws(stride: WideRow.stride) == [])
  }

  @Test("a byte of a row is of the word that its field names, in arrays and in rows within")
  func names() {
    func name(_ byte: Int) -> String? { WideRow.word(at: byte).map { "\($0.offset) \($0.name)" } }
    #expect(name(3) == "0 small")
    #expect(name(5) == nil)
    #expect(name(15) == "8 wide")
    #expect(name(20) == "20 colour green")
    #expect(name(47) == "44 other of pair 1")
  }

  @Test("a row gives back what was stored, atomic or plain, and a raw row sees the same")
  func access() {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: WideRow.stride, alignment: 64)
    defer { raw.deallocate() }
    raw.initializeMemory(as: UInt8.self, repeating: 0, count: WideRow.stride)
    let (row, bare) = (Row(raw), RawRow(raw))
    row[WideRow.wide] = 7
    row.atomic(WideRow.colours, 1).store(8)
    row.row(WideRow.pairs, 2)[PairRow.other] = 9
    #expect(row[WideRow.wide] == 7 && bare[WideRow.wide] == 7)
    #expect(bare[WideRow.colours, 0] == 0 && bare[WideRow.colours, 1] == 8)
    #expect(bare.row(WideRow.pairs, 2)[PairRow.other] == 9)
    #expect(raw.load(fromByteOffset: 52, as: UInt32.self) == 9)
  }

  private enum ForgottenRow: FixedRow {
    static var one: Field<UInt32> { Field("one", .owner) }
    static var two: Field<UInt32> { one.next("two", .owner) }
    static var three: Field<UInt32> { two.next("three", .owner) }
    static var stride: Int { three.stride(align: 8) }
    static var fields: [any RowField] { [one, three] }
  }

  private enum TwiceRow: FixedRow {
    static var one: Field<UInt64> { Field("one", .owner) }
    static var two: Field<UInt32> { one.next("two", .owner) }
    static var three: Field<UInt64> { one.next("three", .owner) }
    static var stride: Int { two.stride(align: 8) }
    static var fields: [any RowField] { [one, two, three] }
  }

  private enum UnnamedRow: FixedRow {
    static var one: Field<UInt64> { Field("", .owner) }
    static var stride: Int { one.stride(align: 4) }
    static var fields: [any RowField] { [one] }
  }

  private enum Miscounted: CaseIterable {
    case one, two, three
    static var count: Int { 2 }
  }

  private enum MiscountedRow: FixedRow {
    static var words: FieldArray<UInt64> {
      FieldArray("word", .owner, count: Miscounted.count, by: Miscounted.self)
    }
    static var stride: Int { words.stride(align: 8) }
    static var fields: [any RowField] { [words] }
  }

  private enum HoldingRow: FixedRow {
    static var rows: RowArray<ForgottenRow> { RowArray("row", .owner, count: 2) }
    static var stride: Int { rows.stride(align: 8) }
    static var fields: [any RowField] { [rows] }
  }

  @Test("a forgotten field, one that overlaps, a row too short and a miscounted array are found")
  func flaws() {
    #expect(ForgottenRow.flaws(stride: 16) == ["ForgottenRow: three begins at 8, not behind one, at 4"])
    #expect(TwiceRow.flaws(stride: 16) == ["TwiceRow: three begins at 8, not behind two, at 12"])
    #expect(TwiceRow.flaws(stride: 8).contains("TwiceRow: three ends at 16, the row at 8"))
    #expect(
      UnnamedRow.flaws(stride: 12) == [
        "UnnamedRow: rows of 12 bytes do not keep  aligned", "UnnamedRow: a field at 0 has no name",
      ])
    #expect(
      MiscountedRow.flaws(stride: 16) == ["MiscountedRow: word: 2 elements for the 3 cases of Miscounted"])
    #expect(HoldingRow.flaws(stride: 32).count == 1)
  }
}
