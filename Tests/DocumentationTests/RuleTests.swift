import Testing

/// The rules, and those who cite them.
@Suite struct RuleTests {
  private static let folders = ["Sources", "Tests"]

  /// The numbers of the headings of the rules: `6.8 S0`.
  private static func headings() throws -> Set<String> {
    let pages =
      try [Repository.file("Documentation/Rules.md")]
      + Repository.files(in: "Documentation/Rules", ending: ".md")
    return Set(pages.flatMap { $0.lines.compactMap { number(of: $0.text) } })
  }

  /// The number of a rule whose heading the line is.
  private static func number(of line: Substring) -> String? {
    guard line.hasPrefix("#"), let match = line.prefixMatch(of: /#+ (\d+(?:\.\d+(?: [SP]\d+)?)?)/) else {
      return nil
    }
    return String(match.1)
  }

  @Test("each rule has one heading, with an anchor of its number")
  func headingsOnce() throws {
    for page in try Repository.files(in: "Documentation/Rules", ending: ".md") {
      var seen: Set<String> = []
      for (number, line) in page.lines {
        guard let rule = Self.number(of: line) else { continue }
        #expect(seen.insert(rule).inserted, "\(page.path):\(number)")
        let anchor = rule.replacing(" ", with: "-")
        #expect(line.hasSuffix("<a id=\"\(anchor)\"></a>"), "\(page.path):\(number)")
      }
    }
  }

  @Test("every rule that a comment or the name of a test cites is there")
  func citedByComments() throws {
    let headings = try Self.headings()
    for file in try Self.folders.flatMap({ try Repository.files(in: $0, ending: ".swift") }) {
      guard !file.path.contains("Tests/DocumentationTests/") else { continue }
      let names = file.lines.filter { $0.text.contains("(rule") }.map { ($0.number, String($0.text)) }
      for (number, text) in file.comments.map({ ($0.first, $0.text) }) + names {
        for rule in Self.cited(in: text) {
          #expect(headings.contains(rule), "\(file.path):\(number) cites rule \(rule)")
        }
        let isOld = Self.hasOldForm(text)
        #expect(!isOld, "\(file.path):\(number) cites a specification that is not here")
      }
    }
  }

  @Test("each seed that is cited has a section")
  func seeds() throws {
    let seeds = try Repository.file("Documentation/Rules/13-Seeds.md").text
    let places =
      try Self.folders.flatMap { try Repository.files(in: $0, ending: ".swift") }
      + Repository.files(in: "Scenarios", ending: ".yaml")
      + Repository.files(in: "Documentation", ending: ".md")
    for file in places where file.text.contains("seed 0") {
      for seed in file.text.matches(of: /seed (\d\d\d)\b/) {
        #expect(seeds.contains(" Seed \(seed.1) <a"), "\(file.path) cites seed \(seed.1)")
      }
    }
  }

  @Test("every rule that a scenario cites is there")
  func citedByScenarios() throws {
    let headings = try Self.headings()
    for file in try Repository.files(in: "Scenarios", ending: ".yaml") {
      for (number, line) in file.lines where line.hasPrefix("rules:") {
        for rule in line.matches(of: /"([^"]*)"/) {
          #expect(headings.contains(String(rule.1)), "\(file.path):\(number) cites rule \(rule.1)")
        }
      }
    }
    for (number, line) in try Repository.file("Documentation/Conformance.md").lines {
      guard let rule = line.prefixMatch(of: /\| \[(\d[^\]]*)\]/) else { continue }
      #expect(headings.contains(String(rule.1)), "Conformance.md:\(number) cites rule \(rule.1)")
    }
  }

  @Test("each safeguard is named by the rule that it belongs to")
  func safeguards() throws {
    let rules = try Repository.files(in: "Documentation/Rules", ending: ".md").map(\.text).joined()
    let enumeration = try Repository.file("Sources/Holdfast/Machine/Safeguard.swift")
    let cases = enumeration.lines.compactMap { $0.text.prefixMatch(of: /\s\scase ([a-zA-Z]+)/)?.1 }
    #expect(cases.count > 30)
    for safeguard in cases {
      // The name on the command line: entryRecheck is entry-recheck.
      let name = safeguard.reduce(into: "") { name, letter in
        name += letter.isUppercase ? "-\(letter.lowercased())" : "\(letter)"
      }
      #expect(rules.contains("`\(name)`"), "no rule names the safeguard \(name)")
    }
  }

  @Test("every number that an invariant names is there")
  func citedByInvariants() throws {
    let headings = try Self.headings()
    for file in try Repository.files(in: "Sources/HoldfastLab/Invariants", ending: ".swift") {
      for (number, line) in file.lines {
        guard let source = line.firstMatch(of: /source: "([^"]*)"/) else { continue }
        for name in source.1.split(whereSeparator: { ",; ".contains($0) }) {
          let rule = name.hasPrefix("P") ? "12.60 \(name)" : "12.\(name)"
          #expect(headings.contains(rule), "\(file.path):\(number) names \(name)")
        }
      }
    }
  }

  // MARK: - Finding

  /// The numbers after `rule` and `rules` in a text.
  private static func cited(in text: String) -> [String] {
    guard text.contains("rule") else { return [] }
    let list = /\brules? (\d+\.\d+(?: S\d+)?(?:(?:, | and | to )\d+\.\d+(?: S\d+)?)*)/
    return text.matches(of: list).flatMap { match in
      match.1.matches(of: /\d+\.\d+(?: S\d+)?/).map { String($0.0) }
    }
  }

  private static func hasOldForm(_ text: String) -> Bool {
    text.contains("spec") && text.contains(/\bspec \d/)
  }
}
