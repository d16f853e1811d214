/// The rooms of the engine as its sources have them: facades, their members, and who uses what.
///
/// Reads text, since the compiler has no walls inside a module. It counts on the form that `swift format` gives:
/// declarations at the margin, members two columns in.
struct RoomMap {
  /// A facade, which is a type that other rooms enter a room by.
  struct Facade {
    let name: String
    let type: String
    let file: String
    var room: String { RoomMap.room(of: file) }
  }

  /// A member of a facade, or a member of `Machine` that a room other than `Machine` declares.
  struct Member {
    let file: String
    /// Whether other rooms may use it.
    let isDoor: Bool
    /// The label of a function's first argument, `_` for none; nil if there is no argument.
    let label: String?
    var room: String { RoomMap.room(of: file) }
  }

  /// A use of a room by another one.
  struct Use {
    let file: String
    let line: Int
    let facade: String
    let member: String
    /// What is used; empty where no such member is declared.
    let declared: [Member]
    var from: String { RoomMap.room(of: file) }
  }

  /// An arrow between rooms.
  struct Arrow: Hashable, Comparable, CustomStringConvertible {
    let from: String
    let to: String
    var description: String { "\(from) --> \(to)" }
    static func < (one: Arrow, other: Arrow) -> Bool { one.description < other.description }
  }

  static let folder = "Sources/Holdfast/"
  /// A declaration two columns in: its access and its name.
  private static var declaration: Regex<(Substring, Substring?, Substring)> {
    /^  (?:@\S+ )*(?:(public|package|private|fileprivate) )?(?:static )?(?:func|var|let|enum|struct) (\w+)/
  }
  /// The room that every other one uses, to which no arrows are drawn.
  static let ground = "Machine"

  private(set) var facades: [String: Facade] = [:]
  /// Members by type and name; several if a name has overloads.
  private(set) var members: [String: [String: [Member]]] = [:]
  private(set) var uses: [Use] = []

  init() throws {
    let files = try Repository.files(in: "Sources/Holdfast", ending: ".swift")
    for file in files {
      for match in file.text.matches(of: /package var (\w+): (\w+) \{ (\w+)\(machine: machine\) \}/)
      where match.2 == match.3 {
        facades[String(match.1)] = Facade(name: String(match.1), type: String(match.2), file: file.path)
      }
      // The memmap is a constant of the machine; its room is where its type is.
      if file.text.contains("package struct Memmap ") {
        facades["memmap"] = Facade(name: "memmap", type: "Memmap", file: file.path)
      }
    }
    let types = Set(facades.values.map(\.type)).union(["Machine"])
    for file in files { noteMembers(of: file, types) }
    for file in files { noteUses(in: file) }
  }

  /// The arrows that the uses make, but for those to the ground.
  var arrows: Set<Arrow> {
    var arrows: Set<Arrow> = []
    for use in uses {
      for member in use.declared where member.room != use.from && member.room != Self.ground {
        arrows.insert(Arrow(from: use.from, to: member.room))
      }
    }
    return arrows
  }

  static func room(of file: String) -> String {
    String(file.dropFirst(folder.count).prefix { $0 != "/" })
  }

  private mutating func noteMembers(of file: Repository.File, _ types: Set<String>) {
    var type: String?
    let lines = file.lines
    for (index, (_, line)) in lines.enumerated() {
      if let head = line.firstMatch(of: /^(?:(?:public|package|final) )*(?:extension|struct|class) (\w+)/) {
        type = types.contains(String(head.1)) ? String(head.1) : nil
      }
      guard let type,
        let member = line.firstMatch(of: Self.declaration)
      else { continue }
      if type == "Machine", Self.room(of: file.path) != Self.ground, member.1 == nil || member.1 == "private"
      {
        continue
      }
      members[type, default: [:]][String(member.2), default: []].append(
        Member(
          file: file.path, isDoor: member.1 == "package" || member.1 == "public",
          label: Self.label(line[member.range.upperBound...], lines.dropFirst(index + 1).first?.1)))
    }
  }

  /// The label of the first argument in parentheses, or of the first parameter of a declaration; `_` for none, nil if
  /// there are no arguments or no parentheses.
  private static func label(_ text: Substring, _ next: Substring?) -> String? {
    guard let open = text.firstMatch(of: /^(?:<[^(]*>)?\(/) else { return nil }
    var rest = text[open.range.upperBound...].drop { $0 == " " }
    if rest.isEmpty, let next { rest = next.drop { $0 == " " } }
    if rest.isEmpty || rest.first == ")" { return nil }
    return rest.firstMatch(of: /^(\w+)(?: \w+)?:(?!:)/).map { String($0.1) } ?? "_"
  }

  private mutating func noteUses(in file: Repository.File) {
    let room = Self.room(of: file.path)
    // Names of facades that mean something else in this file.
    let others = Set(file.text.matches(of: /(?:let|var|inout) (\w+)/).map(\.1))
    let lines = file.lines
    for (index, (number, line)) in lines.enumerated() {
      let code = line.prefix(upTo: line.firstRange(of: "//")?.lowerBound ?? line.endIndex)
      for match in code.matches(of: /\.?\w+(?:[?!]*\.\w+)+/) {
        let names = match.output.split(separator: ".").map { $0.filter { $0 != "?" && $0 != "!" } }
        let label = Self.label(code[match.range.upperBound...], lines.dropFirst(index + 1).first?.1)
        func note(_ facade: String, _ member: String, of type: String, isLast: Bool) {
          let declared = members[type]?[member] ?? []
          // Of overloads the one with this label is meant, if there is one: a first argument may be left out.
          let meant = isLast ? declared.filter { $0.label == label } : []
          uses.append(
            Use(
              file: file.path, line: number, facade: facade, member: member,
              declared: meant.isEmpty ? declared : meant))
        }
        for (place, pair) in zip(names, names.dropFirst()).enumerated() {
          let (name, member) = pair
          let isLast = place + 2 == names.count
          // What comes before a facade's name: the machine, or nothing where a room or the machine itself says it.
          let isFirst = place == 0 && match.output.first != "." || place > 0 && names[place - 1] == "self"
          let isOwned = place > 0 && names[place - 1] == "machine"
          if let facade = facades[name], isOwned || isFirst && !others.contains(Substring(name)) {
            if facade.room != room { note(facade.name, member, of: facade.type, isLast: isLast) }
          } else if place == 0, let facade = facades.values.first(where: { $0.type == name }) {
            // A static member, by the facade's type.
            if facade.room != room { note(facade.name, member, of: facade.type, isLast: isLast) }
          } else if name == "machine", facades[member] == nil {
            // What a room adds to `Machine` is a door of it too.
            let declared = members["Machine"]?[member] ?? []
            if !declared.isEmpty, !declared.contains(where: { $0.room == room || $0.room == Self.ground }) {
              note("machine", member, of: "Machine", isLast: isLast)
            }
          }
        }
      }
    }
  }

  /// What goes past the facades' names, so that a use behind it would not be seen: a facade that is kept under another
  /// name, or made by its type.
  func detours() throws -> [String] {
    var found: [String] = []
    for file in try Repository.files(in: "Sources/Holdfast", ending: ".swift") {
      let room = Self.room(of: file.path)
      for (number, line) in file.lines where room != Self.ground {
        let code = line.prefix(upTo: line.firstRange(of: "//")?.lowerBound ?? line.endIndex)
        for match in code.matches(of: /\bmachine\.(\w+)\s*(?:$|[,)}\]])/) {
          guard let facade = facades[String(match.1)], facade.room != room else { continue }
          found.append("\(file.path):\(number): \(facade.name) under another name")
        }
        for match in code.matches(of: /\b([A-Z]\w*)\(machine\b/) {
          guard let facade = facades.values.first(where: { $0.type == match.1 }), facade.room != room
          else { continue }
          found.append("\(file.path):\(number): \(facade.type) is made where it is not at home")
        }
      }
    }
    return found
  }
}
