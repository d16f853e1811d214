/// The names of a scenario: who defines them, who uses them, and in which order that happens.
struct NameTable {
  /// What a name refers to.
  enum Kind: String {
    case region, references, pin, scope, frames
    case contiguousFrames = "CMA frames"
    case isolation, container, device

    /// With its article.
    var phrase: String {
      switch self {
      case .region, .pin, .container, .device: "a \(rawValue)"
      case .scope: "a pin scope"
      case .references, .frames, .contiguousFrames: rawValue
      case .isolation: "an isolation"
      }
    }
  }

  /// A step, by number.
  struct Place: Hashable {
    let actor: Int
    let step: Int
  }

  /// What is known of a region.
  struct Extent {
    let kind: RegionKind
    /// nil where the region is like a live process's.
    let size: MemorySize?
  }

  private struct Definition {
    let kind: Kind
    let location: SourceLocation
    let place: Place
    let extent: Extent?
  }

  private struct Use {
    let name: String
    let kind: Kind
    let value: Value
    let place: Place
    let anyProcess: Bool
  }

  private var definitions: [String: Definition] = [:]
  private var uses: [Use] = []
  private var ranges: [(range: Verb.RegionRange, location: SourceLocation)] = []
  private var actorUses: [(name: String, location: SourceLocation)] = []
  private var labelPlaces: [String: (place: Place, location: SourceLocation)] = [:]
  private var waits: [StepOrder.Wait] = []

  // MARK: Collecting

  mutating func define(_ value: Value, as kind: Kind, at place: Place, extent: Extent?) throws(ScenarioError)
    -> String
  {
    let name = try value.name()
    if let earlier = definitions[name] {
      throw value.error("\"\(name)\" already names \(earlier.kind.phrase), in line \(earlier.location.line)")
    }
    definitions[name] = Definition(kind: kind, location: value.location, place: place, extent: extent)
    return name
  }

  mutating func use(_ value: Value, as kind: Kind, at place: Place, anyProcess: Bool = false)
    throws(ScenarioError)
    -> String
  {
    let name = try value.name()
    uses.append(Use(name: name, kind: kind, value: value, place: place, anyProcess: anyProcess))
    return name
  }

  mutating func noteRange(_ range: Verb.RegionRange, location: SourceLocation) {
    ranges.append((range, location))
  }

  mutating func noteActor(_ name: String, location: SourceLocation) {
    actorUses.append((name, location))
  }

  mutating func defineLabel(_ value: Value, at place: Place) throws(ScenarioError) {
    let name = try value.name()
    if let earlier = labelPlaces[name] {
      throw value.error("\"\(name)\" already labels the step of line \(earlier.location.line)")
    }
    labelPlaces[name] = (place, value.location)
  }

  /// The labels that a step waits for: for their ends, or with `during` for their beginnings.
  mutating func labels(in value: Value?, at place: Place, during: Bool = false) throws(ScenarioError)
    -> [String]
  {
    guard let value else { return [] }
    var labels: [String] = []
    for entry in try value.list() {
      let label = try entry.name()
      waits.append(StepOrder.Wait(label: label, value: entry.named("label"), place: place, during: during))
      labels.append(label)
    }
    return labels
  }

  func extent(of region: String) -> Extent? { definitions[region]?.extent }

  // MARK: Asking, once everything is collected

  /// Fails unless the value is one of the labels.
  func label(_ value: Value) throws(ScenarioError) -> String {
    let label = try value.name()
    guard labelPlaces[label] != nil else {
      throw value.named("label").unknown(label, allowed: labelPlaces.keys.sorted())
    }
    return label
  }

  /// Fails unless the value names such a thing.
  func name(_ value: Value, of kind: Kind) throws(ScenarioError) -> String {
    let name = try value.name()
    _ = try definition(of: name, as: kind, value)
    return name
  }

  func checkRange(_ range: Verb.RegionRange, _ location: SourceLocation) throws(ScenarioError) {
    guard let size = definitions[range.region]?.extent?.size else { return }
    guard let end = range.offset.adding(range.size ?? .zero), end <= size, range.offset < size else {
      throw ScenarioError(
        "\(range) reaches beyond region \(range.region), which has \(size)", at: location)
    }
  }

  /// Checks everything that was collected.
  func check(_ actors: [Scenario.Actor]) throws(ScenarioError) {
    for use in actorUses where !actors.contains(where: { $0.name == use.name }) {
      let known = actors.map(\.name)
      throw ScenarioError(
        "unknown actor \"\(use.name)\"", at: use.location, allowed: known,
        suggestion: Spelling.nearest(to: use.name, among: known))
    }
    for wait in waits { _ = try label(wait.value) }
    let order = try StepOrder(actors, labels: labelPlaces.mapValues(\.place), waits: waits)
    for use in uses { try check(use, actors, order) }
    for (range, location) in ranges { try checkRange(range, location) }
  }

  private func definition(of name: String, as kind: Kind, _ value: Value) throws(ScenarioError) -> Definition
  {
    guard let found = definitions[name] else {
      let known = definitions.filter { $0.value.kind == kind }.keys.sorted()
      if known.isEmpty { throw value.error("\"\(name)\" names no \(kind.rawValue); the scenario has none") }
      throw value.error(
        "\"\(name)\" names no \(kind.rawValue)", allowed: known,
        suggestion: Spelling.nearest(to: name, among: known))
    }
    guard found.kind == kind else {
      throw value.error(
        "\"\(name)\" names \(found.kind.phrase), in line \(found.location.line); \(value.what) must name "
          + kind.phrase)
    }
    return found
  }

  /// Whether a process is a child of a fork of another one, which leaves it the other's regions.
  private static func descends(
    _ actor: Scenario.Actor, from ancestor: String, _ actors: [Scenario.Actor]
  ) -> Bool {
    // A parent comes earlier in the file, so this ends.
    guard let parent = actors.first(where: { $0.name == actor.process })?.forkOf else { return false }
    guard parent != ancestor, let next = actors.first(where: { $0.name == parent }) else { return true }
    return descends(next, from: ancestor, actors)
  }

  private func check(_ use: Use, _ actors: [Scenario.Actor], _ order: StepOrder) throws(ScenarioError) {
    let found = try definition(of: use.name, as: use.kind, use.value)
    let user = actors[use.place.actor]
    let owner = actors[found.place.actor]
    if use.kind == .scope, use.place.actor != found.place.actor {
      throw use.value.error("pin scope \(use.name) belongs to actor \(owner.name); a scope is a task's own")
    }
    let ownedByProcess = [.region, .pin, .references].contains(use.kind)
    let inherited = use.kind == .region && Self.descends(user, from: owner.process, actors)
    if ownedByProcess, !use.anyProcess, user.process != owner.process, !inherited {
      throw use.value.error(
        "\(use.kind.rawValue) \(use.name) belongs to process \(owner.process), and \(user.name) is not one of "
          + "its threads")
    }
    if use.place.actor == found.place.actor {
      guard found.place.step < use.place.step else {
        throw use.value.error("\"\(use.name)\" is used before line \(found.location.line) defines it")
      }
    } else if !order.precedes(found.place, use.place) {
      throw use.value.error(
        "nothing makes this step wait for \(owner.name) to define \"\(use.name)\" in line \(found.location.line); "
          + "label that step and name the label in \"after\"")
    }
  }
}
