extension VerbReader {
  /// The verbs that act on memory blocks.
  func readBlocks(_ body: Value) throws(ScenarioError) -> Verb {
    switch word {
    case .offline:
      let fields = try body.fields(["zone", "node", "blocks", "passes"])
      let pick =
        try pick(fields["blocks"], whole: true) ?? .whole
      let zone: ZoneKind? = try fields["zone"]?.word()
      if case .indices = pick {
        if let key = fields.key("zone") ?? fields.key("node") {
          throw key.error("numbered blocks need no zone or node")
        }
      } else if zone == nil {
        throw body.error("offline needs \"zone\", or the numbers of the blocks")
      }
      return .offline(
        Verb.Offline(
          blocks: Verb.BlockSelection(pick: pick, zone: zone, node: try node(fields)),
          passes: try fields["passes"]?.integer(1...1_000_000_000) ?? 100))
    case .online:
      let fields = try body.fields(["zone", "node", "blocks"])
      return .online(try selection(fields), try fields["zone"]?.word() ?? .online)
    case .add:
      let fields = try body.body(["blocks", "node"], main: "blocks")
      return .add(blocks: try fields["blocks"]?.integer(1...1_000_000) ?? 1, node: try node(fields) ?? 0)
    default:
      return .remove(try selection(try body.fields(["node", "blocks"])))
    }
  }

  /// Offline blocks, which lie in no zone.
  private func selection(_ fields: Fields) throws(ScenarioError) -> Verb.BlockSelection {
    let pick =
      try pick(fields["blocks"], whole: false) ?? .all
    return Verb.BlockSelection(pick: pick, zone: nil, node: try node(fields))
  }

  private func node(_ fields: Fields) throws(ScenarioError) -> Int? {
    try fields["node"]?.integer(0...(machine.nodes.count - 1))
  }

  private func pick(_ value: Value?, whole: Bool) throws(ScenarioError) -> Verb.BlockSelection.Pick? {
    guard let value else { return nil }
    if value.isList {
      let indices = try value.blockIndices()
      return .indices(indices)
    }
    let text = try value.text()
    if text == "all" { return .all }
    if text == "whole", whole { return .whole }
    if text.first?.isLetter == true {
      throw value.unknown(text, allowed: (whole ? ["whole"] : []) + ["all", "a count", "a list of numbers"])
    }
    return .count(try value.integer(1...1_000_000))
  }
}

extension Value {
  /// Numbers of memory blocks, ascending.
  func blockIndices() throws(ScenarioError) -> [Int] {
    var indices: [Int] = []
    for value in try list() {
      let index = try value.integer(0...Int(Int32.max))
      if indices.contains(index) { throw value.error("\(what) names block \(index) twice") }
      indices.append(index)
    }
    guard !indices.isEmpty else { throw error("\(what) needs at least one block") }
    return indices.sorted()
  }

  /// The fields of a body that may be written as a scalar, which is then the value of its main field.
  func body(_ allowed: [String], main: String) throws(ScenarioError) -> Fields {
    if scalar != nil, !isEmpty { return Fields(main: main, self) }
    return try fields(allowed)
  }
}
