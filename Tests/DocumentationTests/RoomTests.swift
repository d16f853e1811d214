import Testing

/// The walls between the rooms of the engine, and the arrows that `Documentation/Architecture.md` draws.
@Suite struct RoomTests {
  private let map: RoomMap

  init() throws { map = try RoomMap() }

  @Test("the arrows between rooms are those that are drawn")
  func arrows() throws {
    var drawn: Set<RoomMap.Arrow> = []
    var isInside = false
    for (_, line) in try Repository.file("Documentation/Architecture.md").lines {
      if line.hasPrefix("## ") { isInside = line == "## Rooms of the engine" }
      if isInside, let arrow = line.wholeMatch(of: /\s*(\w+) --> (\w+)/) {
        drawn.insert(RoomMap.Arrow(from: String(arrow.1), to: String(arrow.2)))
      }
    }
    for arrow in map.arrows.subtracting(drawn).sorted() {
      let use = map.uses.first { $0.from == arrow.from && $0.declared.contains { $0.room == arrow.to } }
      Issue.record(
        "\(arrow) is not drawn, but \(use.map { "\($0.file):\($0.line) uses \($0.facade).\($0.member)" } ?? "used")"
      )
    }
    for arrow in drawn.subtracting(map.arrows).sorted() {
      Issue.record("\(arrow) is drawn, and nothing uses it")
    }
    #expect(!drawn.isEmpty)
  }

  @Test("a room is entered by its doors only")
  func doors() {
    for use in map.uses {
      if use.declared.isEmpty {
        Issue.record(
          "\(use.file):\(use.line): \(use.facade).\(use.member) is not declared where a reader would look")
      } else if !use.declared.contains(where: \.isDoor) {
        Issue.record(
          "\(use.file):\(use.line): \(use.facade).\(use.member) is no door of \(use.declared[0].room)")
      }
    }
    #expect(map.uses.count > 100)
  }

  @Test("a room is entered by its facades' names, so that every use is seen")
  func detours() throws {
    for detour in try map.detours() { Issue.record("\(detour)") }
  }

  @Test("the members of a facade are in its room")
  func members() {
    for facade in map.facades.values {
      for (name, members) in map.members[facade.type] ?? [:] {
        for member in members where member.room != facade.room {
          Issue.record("\(member.file): \(facade.type).\(name) belongs to \(facade.room)")
        }
      }
    }
    #expect(map.facades.count > 10)
  }
}
