extension Scenario {
  /// The whole file; `textHash` is left empty, because the tree does not know the text.
  static func decode(_ root: Value) throws(ScenarioError) -> Scenario {
    let fields = try root.fields([
      "scenario", "seed", "summary", "rules", "policy", "machine", "actors", "expect", "conditions",
    ])
    let name = try fields.required("scenario").name()
    let seed = try fields["seed"].map { value throws(ScenarioError) in try decodeSeed(value) }
    let summary = try fields.required("summary").text()
    let rules = try fields["rules"].map { value throws(ScenarioError) in try decodeRules(value) } ?? []
    let policy = try fields["policy"]?.word(PolicyName.self) ?? .standard
    let machine = try MachineSpec.decode(fields.required("machine").named("machine"))

    var names = NameTable()
    let actorValues = try fields.required("actors").list()
    guard !actorValues.isEmpty else { throw root.error("a scenario needs at least one actor") }
    var actors: [Actor] = []
    for (index, value) in actorValues.enumerated() {
      actors.append(
        try Actor.decode(value.named("actor"), index: index, machine: machine, earlier: actors, names: &names)
      )
    }
    try names.check(actors)
    for actor in actors { try actor.checkFork(among: actors) }

    let reader = ExpectationReader(names: names, actors: actors, machine: machine)
    var expectations: [Expectation] = []
    for value in try fields["expect"]?.list() ?? [] {
      expectations.append(try reader.read(value.named("expectation")))
    }
    var conditionReader = ConditionReader(reader, looks: expectations)
    var conditions: [Condition] = []
    for value in try fields["conditions"]?.list() ?? [] {
      conditions.append(try conditionReader.read(value.named("condition")))
    }
    return Scenario(
      name: name, file: root.file, seed: seed, summary: summary, rules: rules, policy: policy,
      machine: machine, actors: actors, expectations: expectations, conditions: conditions,
      looks: conditionReader.looks, textHash: "")
  }

  private static func decodeSeed(_ value: Value) throws(ScenarioError) -> String {
    let text = try value.text()
    let allowed = ["000", "001", "002", "003", "004"]
    guard allowed.contains(text) else { throw value.unknown(text, allowed: allowed) }
    return text
  }

  private static func decodeRules(_ value: Value) throws(ScenarioError) -> [String] {
    var rules: [String] = []
    for value in try value.list() {
      let text = try value.text()
      guard isRule(text) else {
        throw value.error(
          "\(value.what) must be numbers of sections, such as 3.6 or \"6.8 S2\"; found \"\(text)\"")
      }
      if rules.contains(text) { throw value.error("\(value.what) says \"\(text)\" twice") }
      rules.append(text)
    }
    return rules
  }

  /// Whether the text is a number like `3.6`, alone or with the name of a row in that section.
  private static func isRule(_ text: String) -> Bool {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard let number = words.first, words.count <= 2 else { return false }
    let digits = number.split(separator: ".", omittingEmptySubsequences: false)
    let isNumber =
      digits.count <= 3
      && digits.allSatisfy {
        !$0.isEmpty && $0.count <= 3 && $0.utf8.allSatisfy { (0x30...0x39).contains($0) }
      }
    let isRow = words.dropFirst().allSatisfy { row in
      !row.isEmpty && row.count <= 32
        && row.unicodeScalars.allSatisfy {
          ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0) || $0 == "-"
        }
    }
    return isNumber && isRow
  }
}

extension Value {
  /// The same node under another name in messages.
  func named(_ what: String) -> Value {
    Value(node: node, file: file, what: what)
  }
}

extension Scenario.Actor {
  static func decode(
    _ value: Value, index: Int, machine: MachineSpec, earlier: [Scenario.Actor], names: inout NameTable
  ) throws(ScenarioError) -> Scenario.Actor {
    let fields = try value.fields([
      "name", "cpu", "thread-of", "fork-of", "memlock", "capabilities", "after", "steps",
    ])
    let name = try fields.required("name").name()
    if let twin = earlier.first(where: { $0.name == name }) {
      throw try fields.required("name").error(
        "\"\(name)\" already names the actor of line \(twin.location.line)")
    }
    var actor = Scenario.Actor(
      name: name, location: value.location, cpu: try fields["cpu"]?.integer(0...(machine.cpus - 1)) ?? 0,
      sharing: nil, forkOf: nil, memlock: try fields["memlock"]?.memlock() ?? .standard, mayLockMemory: false,
      after: [],
      steps: [])
    if let thread = fields["thread-of"] {
      let owner = try thread.name()
      guard let process = earlier.first(where: { $0.name == owner }), process.sharing == nil else {
        throw thread.unknown(
          owner, allowed: earlier.filter { $0.sharing == nil }.map(\.name))
      }
      for key in ["memlock", "capabilities"] {
        if let found = fields.key(key) {
          throw found.error("\(key) belongs to the process, actor \(owner); a thread has none of its own")
        }
      }
      actor.sharing = owner
    }
    if let fork = fields["fork-of"] {
      let parent = try fork.name()
      guard earlier.contains(where: { $0.name == parent && $0.sharing == nil }) else {
        throw fork.unknown(parent, allowed: earlier.filter { $0.sharing == nil }.map(\.name))
      }
      for key in ["thread-of", "memlock", "capabilities"] {
        if let found = fields.key(key) {
          throw found.error("\(key) and fork-of exclude each other: a child begins as its parent is")
        }
      }
      actor.forkOf = parent
    }
    if let capabilities = fields["capabilities"] {
      for capability in try capabilities.list() {
        let word = try capability.text()
        guard word == "ipc-lock" else { throw capability.unknown(word, allowed: ["ipc-lock"]) }
        actor.mayLockMemory = true
      }
    }
    actor.after = try names.labels(in: fields["after"], at: NameTable.Place(actor: index, step: 0))
    let steps = try fields.required("steps").list()
    guard !steps.isEmpty else {
      throw try fields.required("steps").error("actor \(name) needs at least one step")
    }
    for (number, step) in steps.enumerated() {
      if let last = actor.steps.last, last.verb == .exit {
        throw step.error("actor \(name) exits in line \(last.location.line); no step can follow")
      }
      let place = NameTable.Place(actor: index, step: number)
      actor.steps.append(try Step.decode(step.named("step"), at: place, machine: machine, names: &names))
    }
    return actor
  }
}

extension Scenario.Actor {
  /// A child is forked by one labelled step of its parent, and waits for it.
  fileprivate func checkFork(among actors: [Scenario.Actor]) throws(ScenarioError) {
    let forks = actors.flatMap { other in
      other.steps.filter { $0.verb == .fork(actor: name) }.map { (other, $0) }
    }
    guard let parent = forkOf else {
      if let (_, step) = forks.first {
        throw ScenarioError(
          "\(name) is no child of a fork; its actor has to say fork-of", at: step.location)
      }
      return
    }
    guard forks.count == 1, let (forker, step) = forks.first, forker.name == parent else {
      throw ScenarioError("\(name) has to be forked by one step of \(parent), and by no other", at: location)
    }
    guard let label = step.label, after.contains(label) else {
      throw ScenarioError(
        "\(name) has to wait for the step that forks it: label that step, and name the label in \"after\"",
        at: location)
    }
  }
}

extension Step {
  private static let ownKeys = ["label", "after", "during", "repeat", "must"]

  static func decode(
    _ value: Value, at place: NameTable.Place, machine: MachineSpec, names: inout NameTable
  ) throws(ScenarioError) -> Step {
    let verbs = Verb.Word.allCases.map(\.rawValue)
    if value.scalar != nil {
      let text = try value.text()
      guard let word = Verb.Word(rawValue: text) else {
        throw value.named("verb").unknown(text, allowed: verbs)
      }
      var reader = VerbReader(word: word, place: place, machine: machine, names: names)
      let verb = try reader.read(value.empty)
      names = reader.names
      return Step(
        location: value.location, label: nil, after: [], during: [], repeats: 1, mustSucceed: false,
        verb: verb)
    }
    for key in try value.keys() {
      let text = try key.text()
      if !verbs.contains(text), !ownKeys.contains(text) {
        let isKey = Spelling.nearest(to: text, among: verbs + ownKeys).map(ownKeys.contains) ?? false
        throw key.named(isKey ? "key of a step" : "verb").unknown(text, allowed: verbs + ownKeys)
      }
    }
    let fields = try value.fields(verbs + ownKeys)
    let given = fields.names.subtracting(ownKeys)
    guard let name = given.first, given.count == 1, let word = Verb.Word(rawValue: name),
      let body = fields[name]
    else {
      throw value.error(
        given.isEmpty
          ? "a step needs a verb" : "a step has one verb; found \(given.sorted().joined(separator: " and "))",
        allowed: given.isEmpty ? verbs : [])
    }
    if let label = fields["label"] { try names.defineLabel(label, at: place) }
    let after = try names.labels(in: fields["after"], at: place)
    let during = try names.labels(in: fields["during"], at: place, during: true)
    let repeats = try fields["repeat"]?.integer(1...1_000_000_000) ?? 1
    if repeats > 1, [.map, .scope, .exit, .fork].contains(word), let key = fields.key("repeat") {
      throw key.error("\(name) cannot be repeated")
    }
    if let must = fields["must"] {
      let text = try must.text()
      guard text == "ok" else { throw must.unknown(text, allowed: ["ok"]) }
    }
    var reader = VerbReader(word: word, place: place, machine: machine, names: names)
    let verb = try reader.read(body.named(name))
    names = reader.names
    return Step(
      location: fields.key(name)?.location ?? value.location, label: try fields["label"]?.name(),
      after: after, during: during, repeats: repeats, mustSucceed: fields["must"] != nil, verb: verb)
  }
}
