import Foundation
import Testing

/// The map from the kernel's functions to ours.
@Suite struct FunctionMapTests {
  private static func map() throws -> FunctionMap {
    FunctionMap(
      sources: try Repository.files(in: "Sources", ending: ".swift"),
      absent: try AbsentFunctions(yaml: Repository.file(AbsentFunctions.path).text))
  }

  @Test("the committed map is the one that the sources give")
  func committed() throws {
    let map = try Self.map()
    #expect(map.mistakes == [], "lines that name no function, or belong to no declaration")
    if ProcessInfo.processInfo.environment["HOLDFAST_WRITE_DOCUMENTATION"] != nil {
      try map.text.write(
        to: Repository.root.appending(path: FunctionMap.path), atomically: true, encoding: .utf8)
    }
    #expect(
      try Repository.file(FunctionMap.path).text == map.text,
      "HOLDFAST_WRITE_DOCUMENTATION=1 swift test --filter FunctionMap writes it anew")
  }

  @Test("no function is both implemented and absent, and none is listed twice")
  func consistent() throws {
    let map = try Self.map()
    #expect(map.absent.repeated == [])
    let both = map.entries.keys.filter {
      $0.version == KernelSource.version && map.absent.functions(of: $0.file).contains($0.function)
    }
    #expect(both.map { "\($0.file):\($0.function)" }.sorted() == [])
  }

  @Test(
    "of the files that the map goes through, each function is in it",
    .enabled(if: KernelSource.isInstalled, "the package linux-source-6.1 is not installed"))
  func complete() throws {
    let map = try Self.map()
    let source = try KernelSource(unpacking: Set(map.files))
    for file in map.files {
      let implemented = Set(
        map.entries.keys.filter { $0.file == file && $0.version == KernelSource.version }.map(\.function))
      let listed = implemented.union(map.absent.functions(of: file))
      guard let definitions = source.definitions(in: file) else {
        // A file that only later kernels have is cited with their versions alone.
        if !listed.isEmpty { Issue.record("the kernel has no \(file)") }
        continue
      }
      let unknown = listed.subtracting(definitions.functions).subtracting(definitions.others)
      #expect(unknown.sorted() == [], "not defined in \(file)")
      if map.absent.whole.contains(file) {
        #expect(
          definitions.functions.subtracting(listed).sorted() == [], "of \(file), neither ours nor absent")
      }
    }
  }
}
