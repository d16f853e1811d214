import Testing

/// The links of the documents.
@Suite struct LinkTests {
  private static func pages() throws -> [Repository.File] {
    try Repository.files(in: "Documentation", ending: ".md")
      + ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Benchmarks/README.md", "Snapshots/README.md"]
      .map(Repository.file)
  }

  @Test("every link leads somewhere")
  func links() throws {
    for page in try Self.pages() {
      for (number, line) in page.lines where line.contains("](") {
        for link in line.matches(of: /\]\(([^()\s]+)\)/) where !link.1.contains("://") {
          let parts = link.1.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
          let target = parts[0].isEmpty ? page.path : Self.resolve(parts[0], from: page.path)
          guard Repository.exists(target) else {
            Issue.record("\(page.path):\(number): there is no \(target)")
            continue
          }
          if parts.count > 1, target.hasSuffix(".md") {
            let isThere = try Self.anchors(of: target).contains(String(parts[1]))
            #expect(isThere, "\(page.path):\(number): \(link.1)")
          }
        }
      }
    }
  }

  /// A path that is relative to a page, from the root of the repository.
  private static func resolve(_ link: Substring, from page: String) -> String {
    var folders = page.split(separator: "/").dropLast()
    for part in link.split(separator: "/") {
      if part == ".." { folders = folders.dropLast() } else if part != "." { folders.append(part) }
    }
    return folders.joined(separator: "/")
  }

  /// The anchors of a page: those that it names, and those that a viewer makes of its headings.
  private static func anchors(of path: String) throws -> Set<String> {
    var anchors: Set<String> = []
    for (_, line) in try Repository.file(path).lines where line.hasPrefix("#") {
      if let named = line.firstMatch(of: /<a id="([^"]*)">/) { anchors.insert(String(named.1)) }
      let title = line.drop { $0 == "#" || $0 == " " }.prefix { $0 != "<" }
      let letters = title.lowercased().filter { $0.isLetter || $0.isNumber || "-_ ".contains($0) }
      anchors.insert(letters.replacing(" ", with: "-"))
    }
    return anchors
  }
}
