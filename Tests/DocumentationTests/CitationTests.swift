import Testing

/// What comments and documents say about the kernel's functions.
@Suite struct CitationTests {
  /// Text in which functions of the kernel are cited, with its place.
  private struct Passage {
    let place: String
    let text: String
  }

  private static func passages() throws -> [Passage] {
    let comments = try ["Sources", "Tests"].flatMap { folder in
      try Repository.files(in: folder, ending: ".swift").flatMap { file in
        file.comments.map { Passage(place: "\(file.path):\($0.first)", text: $0.text) }
      }
    }
    let pages = try Repository.files(in: "Documentation", ending: ".md").flatMap { file in
      file.lines.map { Passage(place: "\(file.path):\($0.number)", text: String($0.text)) }
    }
    return (comments + pages).filter { !$0.place.contains("Tests/DocumentationTests/") }
  }

  @Test("every citation has the form file:function (version)")
  func form() throws {
    for passage in try Self.passages() {
      #expect(Citation.find(in: passage.text).bad == [], "\(passage.place)")
    }
  }

  @Test(
    "every function of 6.1 that is cited is defined in its file",
    .enabled(if: KernelSource.isInstalled, "the package linux-source-6.1 is not installed"))
  func defined() throws {
    var places: [Citation: String] = [:]
    for passage in try Self.passages() {
      for citation in Citation.find(in: passage.text).good where citation.version == KernelSource.version {
        places[citation] = places[citation] ?? passage.place
      }
    }
    #expect(places.count > 100)
    let source = try KernelSource(unpacking: Set(places.keys.map(\.file)))
    for (file, cited) in Dictionary(grouping: places.keys, by: \.file) {
      let definitions = source.definitions(in: file)
      for citation in cited
      where definitions?.functions.contains(citation.function) != true
        && definitions?.others.contains(citation.function) != true
      {
        Issue.record("\(places[citation] ?? ""): \(file) of the kernel does not define \(citation.function)")
      }
    }
  }

  @Test("what is a citation and what is not")
  func finding() {
    let good = Citation(file: "mm/gup.c", function: "try_grab_folio", version: "6.1")
    #expect(Citation.find(in: "as mm/gup.c:try_grab_folio (6.1) does").good == [good])
    #expect(Citation.find(in: "mm/gup.c:pin (mainline), mm/gup.c:pin (5.10)").good.count == 2)
    #expect(Citation.find(in: "mm/gup.c:try_grab_folio, 6.1").bad.count == 2)
    #expect(Citation.find(in: "(mm/gup.c:try_grab_folio)").bad == ["mm/gup.c:try_grab_folio"])
    #expect(Citation.find(in: "mm/gup.c:123, gup.c:pin, a://b.c:9").bad == [])
  }

  @Test("what a file of C defines")
  func definitions() {
    let text = """
      #define MACRO(x) ((x) + 1)
      static __always_inline bool one(int x)
      {
      \treturn other(x);
      }
      struct folio *two(struct page *page, int refs,
      \t\tunsigned int flags)
      \t__acquires(lock)
      {
      SYSCALL_DEFINE2(three, int, a, int, b)
      {
      enum mode {
      static const struct ops table = { call(1) };
      int declared(void);
      EXPORT_SYMBOL(two);
      """
    let definitions = Definitions(Array(text.utf8))
    #expect(definitions.functions == ["one", "two", "three"])
    #expect(definitions.others == ["MACRO", "mode"])
  }
}
