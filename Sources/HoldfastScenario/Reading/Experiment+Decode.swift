extension Experiment {
  /// Most runs of a point.
  public static let mostRuns = 100_000

  /// Reads an experiment's file.
  public static func load(path: String) throws(ScenarioError) -> Experiment {
    try Experiment(
      yaml: try TextFile.read(path: path, what: "experiment", limit: Scenario.largestText), file: path)
  }

  /// Decodes an experiment; `file` is what messages call it.
  ///
  /// Every point of every series is tried with the least draws and with the greatest, so that a mistake in the scenario
  /// is found before anything runs.
  public init(yaml: String, file: String) throws(ScenarioError) {
    guard let root = try Value(yaml: yaml, file: file, what: "experiment") else {
      throw ScenarioError("the experiment is empty", at: SourceLocation(file: file, line: 1, column: 1))
    }
    let fields = try root.fields([
      "experiment", "seed", "claim", "method", "refuted-by", "runs", "frames", "axis", "draw", "series",
      "measure", "expect", "scenario",
    ])
    name = try fields.required("experiment").name()
    self.file = file
    seed = try fields.required("seed").one(of: ["000", "001", "002", "003", "004"])
    claim = try fields.required("claim").text()
    method = try fields.required("method").text()
    refutedBy = try fields.required("refuted-by").text()
    runs = try fields["runs"]?.integer(1...Self.mostRuns) ?? 1
    ground = try fields["frames"]?.one(of: ["none", "memfd"]) == "memfd" ? .memory : .model
    axis = try Self.axis(try fields.required("axis"))
    draws = try fields["draw"].map(Self.draws) ?? []
    series = try Self.series(try fields.required("series"))
    measures = []
    for value in try fields.required("measure").list() {
      let measure = try Self.measure(value.named("measure"))
      guard !measures.contains(where: { $0.name == measure.name }) else {
        throw value.named("measure").error("two measures are called \"\(measure.name)\"")
      }
      measures.append(measure)
    }
    expected = []
    // The text begins in the line behind its key, so that empty lines give its lines the file's numbers.
    let text = try fields.required("scenario")
    template = String(repeating: "\n", count: text.location.line) + (try text.text())
    for value in try fields["expect"]?.list() ?? [] { expected.append(try decodeExpected(value)) }
    for point in axis.points.indices {
      for series in series.indices {
        try check(try scenario(point, series) { $0.lowerBound }, text)
        try check(try scenario(point, series) { $0.upperBound }, text)
      }
    }
  }

  private func check(_ scenario: Scenario, _ text: Value) throws(ScenarioError) {
    for measure in measures {
      switch measure.source {
      case .outcome: break
      case .expectation(let number) where number > scenario.expectations.count:
        throw text.error(
          "measure \(measure.name) is of expectation \(number), the scenario has \(scenario.expectations.count)"
        )
      case .expectation: break
      case .step(let label, _) where scenario.step(labelled: label) == nil:
        throw text.error("measure \(measure.name) is of step \"\(label)\", which the scenario has not")
      case .step: break
      }
    }
  }

  /// The scenario of a run.
  ///
  /// - Parameters:
  ///   - point: the number of the axis's point, from 0.
  ///   - series: the number of the series, from 0.
  ///   - draw: chooses a number of each range.
  public func scenario(
    _ point: Int, _ series: Int, draw: (ClosedRange<Int>) -> Int
  ) throws(ScenarioError) -> Scenario {
    var texts: [String: String] = [:]
    for one in draws { texts[one.name] = "\(draw(one.range))" }
    // What a series or a point puts in may have places for what a run draws.
    let drawn = texts
    for (name, text) in self.series[series].texts { texts[name] = try filled(text, drawn) }
    texts[axis.name] = try filled(axis.points[point].text, texts)
    return try Scenario(yaml: try filled(template, texts), file: file)
  }

  private func filled(_ template: String, _ texts: [String: String]) throws(ScenarioError) -> String {
    var text = ""
    var rest = template[...]
    while let open = rest.firstRange(of: "{{") {
      text += rest[..<open.lowerBound]
      rest = rest[open.upperBound...]
      guard let close = rest.firstRange(of: "}}"), let put = texts[String(rest[..<close.lowerBound])] else {
        let line = 1 + text.utf8.count { $0 == 0x0a }
        throw ScenarioError(
          "unknown place \"{{\(rest.prefix { $0 != "}" && $0 != "\n" })}}\"",
          at: SourceLocation(file: file, line: line, column: 1), allowed: texts.keys.sorted())
      }
      text += put
      rest = rest[close.upperBound...]
    }
    return text + rest
  }

  // MARK: - Parts

  private static func axis(_ value: Value) throws(ScenarioError) -> Axis {
    let fields = try value.fields(["name", "label", "values", "cases"])
    var points: [Point] = []
    if let values = fields["values"] {
      if let cases = fields["cases"] { throw cases.error("an axis has values or cases, not both") }
      for value in try values.list() {
        let number = try value.named("value of axis").integer(0...Int(Int32.max))
        points.append(Point(name: "\(number)", text: "\(number)", number: number))
      }
    } else {
      let cases = try fields.required("cases")
      let names = try cases.keys().map { key throws(ScenarioError) in try key.text() }
      let texts = try cases.fields(names)
      for name in names {
        points.append(Point(name: name, text: try texts.required(name).scalar ?? "", number: nil))
      }
    }
    guard (1...64).contains(points.count) else {
      throw value.error("an axis has 1 to 64 points; found \(points.count)")
    }
    guard Set(points.map(\.name)).count == points.count else {
      throw value.error("two points of the axis are the same")
    }
    return Axis(
      name: try fields.required("name").name(), label: try fields.required("label").text(), points: points)
  }

  private static func draws(_ value: Value) throws(ScenarioError) -> [Draw] {
    let names = try value.keys().map { key throws(ScenarioError) in try key.name() }
    let fields = try value.fields(names)
    var draws: [Draw] = []
    for name in names {
      let bounds = try fields.required(name)
      let numbers = try bounds.list().map { bound throws(ScenarioError) in
        try bound.integer(0...Int(Int32.max))
      }
      guard numbers.count == 2, numbers[0] <= numbers[1] else {
        throw bounds.error("\(bounds.what) must be a list of the least and the greatest number")
      }
      draws.append(Draw(name: name, range: numbers[0]...numbers[1]))
    }
    return draws
  }

  private static func series(_ value: Value) throws(ScenarioError) -> [Series] {
    var all: [Series] = []
    for element in try value.list() {
      let one: Series
      if element.isMapping {
        let keys = try element.keys().map { key throws(ScenarioError) in try key.text() }
        let fields = try element.named("series").fields(keys)
        var texts: [String: String] = [:]
        for key in keys where key != "name" && key != "policy" {
          texts[key] = try fields.required(key).scalar ?? ""
        }
        one = Series(
          name: try fields.required("name").text(), policy: try fields["policy"]?.word(), texts: texts)
      } else {
        let policy = try element.named("policy").word(PolicyName.self)
        one = Series(name: policy.rawValue, policy: policy)
      }
      guard !all.contains(where: { $0.name == one.name }) else {
        throw element.named("series").error("two series are called \"\(one.name)\"")
      }
      all.append(one)
    }
    guard (1...16).contains(all.count) else {
      throw value.error("an experiment has 1 to 16 series; found \(all.count)")
    }
    return all
  }

  private static func measure(_ value: Value) throws(ScenarioError) -> Measure {
    let fields = try value.fields(["name", "label", "holds", "expectation", "step", "value"])
    let name = try fields.required("name").name()
    let label = try fields.required("label").text()
    let source: Measure.Source
    switch (fields["holds"], fields["expectation"], fields["step"]) {
    case (let holds?, nil, nil):
      guard try holds.boolean() else { throw holds.error("\(holds.what) must be true") }
      source = .outcome
    case (nil, let number?, nil): source = .expectation(try number.integer(1...1000))
    case (nil, nil, let step?):
      source = .step(try step.text(), try fields.required("value").word())
    default: throw value.error("a measure is of one of these", allowed: ["holds", "expectation", "step"])
    }
    if let word = fields["value"], fields["step"] == nil { throw word.error("\"value\" is of a step") }
    return Measure(name: name, label: label, source: source)
  }

  private func decodeExpected(_ value: Value) throws(ScenarioError) -> Expected {
    let operators: [Comparison.Operator] = [.equals, .atLeast, .atMost]
    let fields = try value.named("expectation")
      .fields(["measure", "series", "at"] + operators.map(\.rawValue))
    guard let operation = operators.first(where: { fields[$0.rawValue] != nil }),
      let number = fields[operation.rawValue],
      fields.names.intersection(operators.map(\.rawValue)).count == 1
    else {
      throw value.named("expectation").error(
        "an expectation has one operator", allowed: operators.map(\.rawValue))
    }
    guard let text = number.scalar, let exact = Double(text), abs(exact) < 1e12 else {
      throw number.error("\(number.what) must be a number; found \(number.found)")
    }
    return Expected(
      measure: try fields.required("measure").named("measure").one(of: measures.map(\.name)),
      series: try fields.required("series").named("series").one(of: series.map(\.name)),
      point: try fields["at"]?.named("point").one(of: axis.points.map(\.name)), operation: operation,
      thousandths: Int((exact * 1000).rounded()), location: value.location)
  }
}
