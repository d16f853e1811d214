import Foundation
import Testing

/// Rules of the house that can be read from the sources.
@Suite struct HouseTests {
  @Test("no two paths differ in case alone, so that any file system can hold them")
  func paths() throws {
    let paths = try Repository.paths()
    #expect(paths.contains("Sources/Holdfast"))
    for same in Dictionary(grouping: paths, by: { $0.lowercased() }).values {
      #expect(same.count == 1, "\(same.sorted())")
    }
  }

  @Test("a file is at most 600 lines long")
  func lengths() throws {
    for file in try Self.sources() {
      let count = file.lines.count
      #expect(count <= 600, "\(file.path)")
    }
  }

  @Test("the engine synchronises by Interleaving alone, and does not say which twin it is")
  func engine() throws {
    let allowed: Set = ["CLinux", "HoldfastWords", "Interleaving", "SystemPackage"]
    for file in try Repository.files(in: "Sources/Holdfast", ending: ".swift") {
      for (number, line) in file.lines {
        if let module = line.firstMatch(of: /\bimport (?:\w+ )?(\w+)$/) {
          #expect(allowed.contains(String(module.1)), "\(file.path):\(number)")
        }
        for word in ["pthread_", "#if "] {
          let isThere = line.contains(word)
          #expect(!isThere, "\(file.path):\(number): \(word)")
        }
      }
    }
  }

  @Test("who says that a type can be shared unchecked argues for it on the next line")
  func unchecked() throws {
    for file in try Self.sources() where file.text.contains("@unchecked" + " Sendable") {
      for (line, next) in zip(file.lines, file.lines.dropFirst())
      where line.text.contains("@unchecked" + " Sendable") {
        let argues = next.text.contains("// Sendable: ")
        #expect(argues, "\(file.path):\(next.number)")
      }
    }
  }

  @Test("a test has a sentence, and a short name to filter by")
  func names() throws {
    for file in try Repository.files(in: "Tests", ending: ".swift") {
      for (line, next) in zip(file.lines, file.lines.dropFirst()) {
        let text = line.text.drop { $0 == " " }
        if text.hasPrefix("@Test") {
          let isNamed =
            text.hasPrefix("@Test(\"") || text == "@Test(" && next.text.drop { $0 == " " }.first == "\""
          #expect(isNamed, "\(file.path):\(line.number)")
        }
        let isRaw = text.contains("func" + " `")
        #expect(!isRaw, "\(file.path):\(line.number)")
      }
    }
  }

  @Test("threads of a test meet: none is left to a dispatch queue, which may run them one after the other")
  func threads() throws {
    for file in try Repository.files(in: "Tests", ending: ".swift") {
      let isThere = file.text.contains("concurrentPerform" + "(")
      #expect(!isThere, "\(file.path)")
    }
  }

  @Test("the command's version is the newest of the changelog")
  func version() throws {
    let changelog = try Repository.file("CHANGELOG.md").text
    let newest = try #require(changelog.firstMatch(of: /\n## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d\n/)).1
    let command = try Repository.file("Sources/HoldfastCommand/Command.swift").text
    #expect(command.contains("version: \"holdfast \(newest)\""))
  }

  private static func sources() throws -> [Repository.File] {
    try ["Sources", "Tests"].flatMap { folder in
      try [".swift", ".c", ".h"].flatMap { try Repository.files(in: folder, ending: $0) }
    }
  }
}
