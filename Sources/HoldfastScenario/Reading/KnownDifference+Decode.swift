extension KnownDifference {
  /// Reads a file of known differences.
  public static func load(path: String) throws(ScenarioError) -> [KnownDifference] {
    try list(
      yaml: try TextFile.read(path: path, what: "list of differences", limit: Scenario.largestText),
      file: path)
  }

  /// Reads known differences; `file` is what messages call it.
  public static func list(yaml: String, file: String) throws(ScenarioError) -> [KnownDifference] {
    guard let root = try Value(yaml: yaml, file: file, what: "list of differences"), !root.isEmpty else {
      return []
    }
    guard root.isList else { throw root.error("\(root.what) must be a list; found \(root.found)") }
    var differences: [KnownDifference] = []
    for value in try root.list() {
      let difference = try decode(value.named("difference"))
      if let twin = differences.first(where: {
        $0.scenario == difference.scenario && $0.form == difference.form
      }) {
        throw value.named("difference").error(
          "\(twin.text) of \(twin.scenario) is already listed, in line \(twin.location.line)")
      }
      differences.append(difference)
    }
    return differences
  }

  private static func decode(_ value: Value) throws(ScenarioError) -> KnownDifference {
    let fields = try value.fields(["scenario", "state", "observable", "kernel", "version", "why"])
    let form: Form
    switch (fields["state"], fields["observable"]) {
    case (let state?, nil): form = .state(try state.text())
    case (nil, let observable?): form = .observable(try statement(observable))
    case (nil, nil): throw value.error("\(value.what) needs \"state\" or \"observable\"")
    case (_?, let observable?): throw observable.error("\(value.what) has state or observable, not both")
    }
    let kernel = try fields.required("kernel")
    let place = try kernel.text()
    let parts = place.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].contains("/"), !parts[1].isEmpty, !place.contains(" ") else {
      throw kernel.error(
        "\(kernel.what) must be a file and a function, such as mm/gup.c:try_grab_folio; found \"\(place)\"")
    }
    let version = try fields.required("version")
    let number = try version.text()
    guard number.first?.isNumber == true, number.split(separator: ".").count >= 2 else {
      throw version.error(
        "\(version.what) must be a kernel's version, such as 6.1 or 6.1.192; found \"\(number)\"")
    }
    return KnownDifference(
      scenario: try fields.required("scenario").name(), form: form, kernel: place, version: number,
      why: try fields.required("why").text(), location: value.location)
  }

  /// `gone=EINTR`, `line 17 fails` or `line 17 holds`.
  private static func statement(_ value: Value) throws(ScenarioError) -> String {
    let text = try value.text()
    let sides = text.split(separator: "=", omittingEmptySubsequences: false)
    let isEnding = sides.count == 2 && sides.allSatisfy { !$0.isEmpty }
    let isCheck = text.hasPrefix("line ") && (text.hasSuffix(" fails") || text.hasSuffix(" holds"))
    guard isEnding || isCheck else {
      throw value.error("\(value.what) must be such as gone=EINTR or \"line 17 fails\"; found \"\(text)\"")
    }
    return text
  }
}
