extension FunctionMap {
  static let path = "Documentation/FunctionMap.md"

  /// The page of Markdown.
  var text: String {
    ([head, summary] + files.map(section)).joined(separator: "\n")
  }

  private var head: String {
    """
    # Function map

    Which functions of Linux the engine implements, where, and what is left out. This page is generated: the first table of
    a file comes from the lines `- Kernel:` in the comments of `Sources`, the list below it from
    `\(AbsentFunctions.path)`. After a change of either, `HOLDFAST_WRITE_DOCUMENTATION=1 swift test --filter FunctionMap`
    writes it anew.

    *Faithful* means that every rule of the function that the engine's state can show is there. *Partial* names what is not.
    *Absent* functions are grouped by the reason. Of the files marked *all* every function is listed, of the others those that
    matter for pinned memory. The rules themselves are in [Rules](Rules.md).

    """
  }

  private var summary: String {
    var text = "| file | functions | faithful | partial | absent |\n|---|---|---|---|---|\n"
    var sums = (faithful: 0, partial: 0, absent: 0)
    for file in files {
      let entries = entries(of: file)
      let faithful = entries.count { $0.isFaithful }
      let absent = absent.functions(of: file).count
      text += "| [\(file)](#\(Self.anchor(of: file))) | \(self.absent.whole.contains(file) ? "all" : "some") "
      text += "| \(faithful) | \(entries.count - faithful) | \(absent) |\n"
      sums = (sums.faithful + faithful, sums.partial + entries.count - faithful, sums.absent + absent)
    }
    return text + "| all files | | \(sums.faithful) | \(sums.partial) | \(sums.absent) |\n"
  }

  private static func anchor(of file: String) -> String {
    file.filter { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" }
  }

  private func section(of file: String) -> String {
    var text = "## \(file)\n\n"
    let listed = absent.files.first { $0.file == file }
    if let note = listed?.note {
      text += note.split(whereSeparator: \.isWhitespace).joined(separator: " ") + "\n\n"
    }
    let entries = entries(of: file)
    if !entries.isEmpty {
      text += "| function | version | ours | how |\n|---|---|---|---|\n"
      for entry in entries { text += row(entry) }
      text += "\n"
    }
    for group in listed?.absent ?? [] {
      let names = group.functions.sorted().map { "`\($0)`" }.joined(separator: ", ")
      text += "- *absent, \(group.why)*: \(names)\n"
    }
    return text
  }

  private func row(_ entry: Entry) -> String {
    let ours = entry.implementations.map { one in
      let name = one.file.split(separator: "/").dropFirst(2).joined(separator: "/")
      return "`\(one.declaration)` in [\(name)](../\(one.file))"
    }
    let omissions = entry.implementations.compactMap(\.without)
    let how = omissions.isEmpty ? "faithful" : "partial: without " + omissions.joined(separator: "; ")
    return "| `\(entry.citation.function)` | \(entry.citation.version) | \(ours.joined(separator: "<br>")) "
      + "| \(how.replacing("|", with: "\\|")) |\n"
  }
}
