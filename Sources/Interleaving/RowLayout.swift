/// The layout of the rows of a table: its fields, each declared once.
public protocol RowLayout: SendableMetatype {
  /// All fields, ascending.
  static var fields: [any RowField] { get }
}

/// A layout all of whose rows have one size, whatever the machine.
public protocol FixedRow: RowLayout {
  /// Bytes from one row to the next.
  static var stride: Int { get }
  /// What a row's place is a multiple of.
  static var alignment: Int { get }
}

/// A word of a row.
public struct RowWord {
  /// What it is called.
  public let name: String
  /// Where it begins in its row.
  public let offset: Int
  /// What it holds.
  public let type: Any.Type
}

extension FixedRow {
  /// What a row's place is a multiple of.
  @_transparent
  public static var alignment: Int { 8 }
}

extension RowLayout {
  /// The word that holds a byte of the row; nil for a byte between the fields.
  public static func word(at byte: Int) -> RowWord? {
    for field in fields {
      if let word = field.word(at: byte) { return word }
    }
    return nil
  }

  /// What is wrong with the layout of rows of so many bytes: empty, unless a declaration is.
  ///
  /// Every field begins where the one before it ends, but for what alignment asks for: so a field that is
  /// missing from the list shows as a hole.
  public static func flaws(stride: Int) -> [String] {
    var found: [String] = []
    var end = 0
    var before = "the row"
    for field in fields {
      let (name, align) = ("\(field.name)", field.alignment)
      if align < 1 || align & (align - 1) != 0 || field.offset % align != 0 {
        found.append("\(self): \(name) at \(field.offset) is not aligned to \(align)")
      } else if field.offset != aligned(end, to: align) {
        found.append("\(self): \(name) begins at \(field.offset), not behind \(before), at \(end)")
      }
      if stride % align != 0 { found.append("\(self): rows of \(stride) bytes do not keep \(name) aligned") }
      if name.isEmpty { found.append("\(self): a field at \(field.offset) has no name") }
      found += field.flaws.map { "\(self): \(name): \($0)" }
      (end, before) = (field.end, name)
    }
    if end > stride { found.append("\(self): \(before) ends at \(end), the row at \(stride)") }
    return found
  }
}

extension Field {
  /// The word that holds a byte of the row; nil if the byte is none of this.
  public func word(at byte: Int) -> RowWord? {
    byte >= offset && byte < end ? RowWord(name: "\(name)", offset: offset, type: Value.self) : nil
  }
}

extension FieldArray {
  /// The word that holds a byte of the row; nil if the byte is none of this.
  public func word(at byte: Int) -> RowWord? {
    let number = (byte - offset) / MemoryLayout<Value>.stride
    guard byte >= offset, number < count else { return nil }
    return RowWord(name: "\(name) \(elementName(number))", offset: offset(number), type: Value.self)
  }

  private func elementName(_ number: Int) -> String { index?.name(number) ?? "\(number)" }

  /// What is wrong with it in itself.
  public var flaws: [String] { index?.flaws(count: count) ?? [] }
}

extension RowArray {
  /// The word that holds a byte of the row; nil if the byte is none of this.
  public func word(at byte: Int) -> RowWord? {
    let number = (byte - offset) / Layout.stride
    guard byte >= offset, number < count,
      let inner = Layout.word(at: (byte - offset) % Layout.stride)
    else { return nil }
    return RowWord(
      name: "\(inner.name) of \(elementName(number))", offset: offset(number) + inner.offset,
      type: inner.type)
  }

  private func elementName(_ number: Int) -> String {
    count == 1 ? "\(name)" : "\(name) \(index?.name(number) ?? "\(number)")"
  }

  /// What is wrong with it in itself.
  public var flaws: [String] {
    Layout.flaws(stride: Layout.stride) + (index?.flaws(count: count) ?? [])
      + (Layout.stride % Layout.alignment == 0 ? [] : ["rows of \(Layout.stride) bytes are not aligned"])
  }
}

extension CaseIterable {
  static func name(_ number: Int) -> String {
    let cases = Array(allCases)
    return cases.indices.contains(number) ? "\(cases[number])" : "\(number)"
  }

  static func flaws(count: Int) -> [String] {
    count == allCases.count ? [] : ["\(count) elements for the \(allCases.count) cases of \(self)"]
  }
}
