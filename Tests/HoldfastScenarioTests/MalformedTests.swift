import Foundation
import HoldfastScenario
import Testing

/// Every mistake is reported with the line it stands in, the word that was found and what may stand there.
@Suite struct MalformedTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let yaml: String
    let line: Int
    let message: String
    var testDescription: String { message }
  }

  private static func whole(_ yaml: String, _ line: Int, _ message: String) -> Case {
    Case(yaml: yaml, line: line, message: message)
  }

  private static func step(_ steps: String, _ line: Int, _ message: String) -> Case {
    Case(yaml: Examples.steps(steps), line: line, message: message)
  }

  private static func expect(_ expectation: String, _ message: String) -> Case {
    let steps = "- map: {region: ram, size: 1MiB}\n- pin: {as: dma, region: ram}\n  label: pinned"
    return Case(yaml: Examples.steps(steps, expect: expectation), line: 11, message: message)
  }

  private static func condition(_ condition: String, _ message: String) -> Case {
    let example = expect("- {step: pinned, equals: ok}", message)
    return Case(yaml: example.yaml + "conditions:\n  " + condition, line: 13, message: message)
  }

  private static func machine(_ machine: String, _ message: String) -> Case {
    Case(
      yaml: "scenario: m\nsummary: m\nmachine: {\(machine)}\nactors: [{name: one, steps: [exit]}]", line: 3,
      message: message)
  }

  static let files: [Case] = [
    whole("", 1, "the scenario is empty"),
    whole("- a\n- b", 1, "scenario must be a mapping; found a list"),
    whole("scenario: a\nsummary: [", 2, "this is not YAML"),
    whole(String(repeating: "[", count: 500_000), 1, "the YAML is nested too deeply"),
    whole(String(repeating: "- ", count: 250_000), 1, "the YAML is nested too deeply"),
    whole(String(repeating: "a: [", count: 100_000), 1, "the YAML is nested too deeply"),
    whole("scenario: a\nscenario: b", 1, "\"scenario\" is given twice in one mapping"),
    whole("scenario: a\n---\nscenario: b", 2, "found another document"),
    whole(
      "scenario: a\nsumary: b", 2, "unknown key of scenario \"sumary\"; did you mean \"summary\"? allowed: "),
    whole("summary: b\nscenario: Ram", 2, "a-z, digits and hyphens; found \"Ram\""),
    whole("scenario: a\nsummary: b\nseed: 7", 3, "unknown seed \"7\"; allowed: 000, 001"),
    whole(
      "scenario: a\nsummary: b\npolicy: linux-6.2", 3,
      "\"linux-6.2\"; did you mean \"linux-6.1\"? allowed: linux-5.5"),
    whole(
      "scenario: a\nsummary: b\nrules: [3.6, six]", 3, "such as 3.6 or \"6.8 S2\"; found \"six\""),
    whole("scenario: a\nsummary: b\nrules: 6.8 S2 S3", 3, "found \"6.8 S2 S3\""),
    whole("scenario: a\nsummary: b\nrules: [3.6, 3.6]", 3, "rules says \"3.6\" twice"),
    whole("scenario: a\nsummary: b\nrules: {a: b}", 3, "rules must be a list; found a mapping"),
    whole("scenario: a\nsummary: b", 1, "scenario needs \"machine\""),
    whole("scenario: a\nsummary: b\nmachine: {memory: 1GiB}\nactors: []", 1, "at least one actor"),
    whole(
      "scenario: a\nsummary: b\nmachine: {memory: 1GiB}\nactors:\n  - {name: one, steps: [exit]}\n  - {name: one, steps: [exit]}",
      6, "\"one\" already names the actor of line 5"),
    whole(
      "scenario: a\nsummary: b\nmachine: {memory: 1GiB}\nactors:\n  - {name: one, cpu: 1, steps: [exit]}", 5,
      "cpu of actor must be from 0 to 0; found 1"),
    whole(
      "scenario: a\nsummary: b\nmachine: {memory: 1GiB}\nactors:\n  - {name: one, thread-of: two, steps: [exit]}",
      5, "unknown thread-of of actor \"two\""),
    whole(
      "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
        + "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]", 1,
      "more than 200000 values"),
  ]

  static let machines: [Case] = [
    machine("memory: 0", "memory of machine must not be zero"),
    machine("memory: -4GiB", "memory of machine must not be negative; found \"-4GiB\""),
    machine("memory: 9223372036854775808", "must be below 2^63 bytes"),
    machine("memory: {pages: 9223372036854775808}", "must be below 2^63 bytes"),
    machine("memory: 5000", "must be a multiple of the page size, 4096 bytes; found \"5000\""),
    machine("memory: 4GB", "unknown unit \"GB\" in memory of machine; did you mean \"GiB\"?"),
    machine("memory: lots", "must be a size such as 64MiB"),
    machine("memory: 1GiB, block: 96MiB", "block of machine must be a power of two; found 96 MiB"),
    machine("memory: 1GiB, block: 1MiB", "block of machine is 1 MiB, less than a section"),
    machine("memory: {frames: 64}", "multiple of the memory block, 128 MiB; found 256 KiB"),
    machine("memory: 1GiB, movable: 2GiB", "movable is 2 GiB, but the machine has 1 GiB"),
    machine("memory: 1GiB, movable: 100%", "movable of machine must be from 1% to 99%"),
    machine("memory: 1GiB, zones: {dma: 1GiB, dma32: 512MiB}", "zone dma32 must end above zone dma"),
    machine("memory: 1GiB, cma: [{name: c, size: 2GiB}]", "cma area c ends beyond the machine's memory"),
    machine("memory: 1GiB, cma: [{name: c, size: 1MiB}]", "multiple of the pageblock, 2 MiB; found 1 MiB"),
    machine("memory: 1GiB, on-live: [{cma: c}]", "unknown cma of on-live \"c\""),
    machine("nodes: [{memory: 1GiB}], cpus: 2", "a machine with nodes gives cpus per node"),
    machine("memory: 1GiB, page-tables: 12", "page-tables of machine must be from 1 to 9; found 12"),
  ]

  static let steps: [Case] = [
    step("- pinn: {region: ram}", 7, "unknown verb \"pinn\"; did you mean \"pin\"? allowed: map, unmap"),
    step("- label: x", 7, "a step needs a verb"),
    step("- exit:\n  compact:", 7, "a step has one verb; found compact and exit"),
    step("- map: {region: ram, sise: 4KiB}", 7, "unknown key of map \"sise\"; did you mean \"size\"?"),
    step("- map: {region: ram, size: 1.5MiB}", 7, "must be a size such as 64MiB"),
    step("- compact:\n  repeats: 2", 8, "unknown key of a step \"repeats\"; did you mean \"repeat\"?"),
    step("- map: {region: ram}", 7, "map needs \"size\""),
    step("- map: {region: ram, size: 3MiB, kind: hugetlb}", 7, "a multiple of the huge page, 2 MiB"),
    step("- map: {region: ram, size: 1MiB}\n- touch: rom", 8, "\"rom\" names no region"),
    step("- touch: ram\n- map: {region: ram, size: 1MiB}", 7, "\"ram\" is used before line 8 defines it"),
    step(
      "- map: {region: ram, size: 1MiB}\n- map: {region: ram, size: 1MiB}", 8,
      "already names a region, in line 7"),
    step(
      "- map: {region: ram, size: 1MiB}\n- touch: {region: ram, offset: 1MiB}", 8, "reaches beyond region ram"
    ),
    step(
      "- map: {region: ram, size: 1MiB}\n- pin: {region: ram, flags: [longtrem]}", 8,
      "did you mean \"longterm\"?"),
    step(
      "- map: {region: ram, size: 1MiB}\n- pin: {region: ram, flags: [write, write]}", 8,
      "says \"write\" twice"),
    step(
      "- map: {region: ram, size: 1MiB}\n- unpin: ram", 8,
      "names a region, in line 7; pin of unpin must name a pin"),
    step("- exit\n- compact", 8, "actor one exits in line 7; no step can follow"),
    step("- offline: {blocks: whole}", 7, "offline needs \"zone\""),
    step("- offline: {zone: movable, blocks: most}", 7, "allowed: whole, all, a count, a list of numbers"),
    step("- allocate: {gfp: [kernel, dma, dma32]}", 7, "cannot say dma and dma32 together"),
    step("- cma-alloc: {area: camra, size: 1MiB}", 7, "did you mean \"camera\"?"),
    step("- drain: lsu", 7, "unknown what of drain \"lsu\"; did you mean \"lru\"? allowed: lru, pcp"),
    step("- signal: two", 7, "unknown actor \"two\"; allowed: one"),
    step("- compact:\n  label: a\n- exit:\n  label: a", 10, "\"a\" already labels the step of line 8"),
    step("- compact:\n  after: [later]\n- exit:\n  label: later", 8, "waiting for later is circular"),
    step("- compact:\n  after: [never]", 8, "unknown label \"never\""),
    step("- compact:\n  during: [never]", 8, "unknown label \"never\""),
    step(
      "- compact:\n  during: [later]\n- compact:\n  label: later", 8,
      "waiting for later is circular: it can only begin after this step"),
    step("- compact:\n  label: self\n  during: [self]", 9, "waiting for self is circular"),
    step("- map: {region: a, size: 1MiB}\n  repeat: 2", 8, "map cannot be repeated"),
    step("- compact:\n  must: work", 8, "allowed: ok"),
  ]

  static let expectations: [Case] = [
    expect("- stop: pinned\n  equals: ok", "unknown subject of expectation \"stop\"; did you mean \"step\"?"),
    expect("- {step: pinned}", "an expectation needs an operator; allowed: equals, not, at-least, at-most"),
    expect("- {step: pined, equals: ok}", "unknown label \"pined\"; did you mean \"pinned\"?"),
    expect("- {step: pinned, equals: ENOMEN}", "did you mean \"ENOMEM\"?"),
    expect("- {step: pinned, equals: fine}", "unknown result \"fine\"; allowed: ok"),
    expect("- {step: pinned, at-least: ok}", "a word takes equals or not"),
    expect("- {step: pinned, at: pinned, equals: ok}", "unknown key of step expectation \"at\""),
    expect("- {step: pinned, equals: ok, under: {linux-5.11: ok}}", "unknown key of under \"linux-5.11\""),
    expect("- {counter: nr_foll_pin_aquired, equals: 1}", "did you mean \"nr_foll_pin_acquired\"?"),
    expect("- {counter: pgfault pgfree, equals: 1}", "a sign is missing before \"pgfree\""),
    expect("- {pages: ram, equals: all}", "pages expectation needs \"where\""),
    expect("- {pages: ram, where: {moved: true}, equals: all}", "needs \"since\""),
    expect("- {pin: ram, where: {present: true}, equals: all}", "\"ram\" names a region, in line 7"),
    expect("- {blocks: moveable, where: {state: offline}, equals: all}", "did you mean \"movable\"?"),
    expect("- {holders: [0], equals: [two]}", "unknown actor \"two\""),
    expect("- {zone: movable, value: present, equals: some}", "must be a size such as"),
  ]

  static let conditions: [Case] = [
    condition("- {because: so}", "how often it is true; allowed: never, always, sometimes"),
    condition("- {nevr: {step: pinned, equals: ok}}", "did you mean \"never\"?"),
    condition(
      "- {never: {step: pinned, equals: ok}, always: {step: pinned, equals: ok}}", "found never and always"),
    condition(
      "- never: {and: [{step: pinned, equals: ok}], step: pinned}", "unknown key of condition \"step\""),
    condition(
      "- never: {or: {step: pinned, equals: ok}}", "must be a list of what is combined; found a mapping"),
    condition("- never: {step: pined, equals: ok}", "unknown label \"pined\"; did you mean \"pinned\"?"),
    condition("- never: [{step: pinned, equals: ok, because: so}]", "\"because\" belongs beside never"),
    condition("- never: []", "needs at least one part"),
    condition(
      "- {never: {step: pinned, equals: ok}, under: {linux-5.5: rarely}}",
      "allowed: never, always, sometimes, skip"),
  ]

  @Test(
    "a malformed scenario is refused with its line",
    arguments: files + machines + steps + expectations + conditions)
  func malformed(example: Case) {
    do throws(ScenarioError) {
      _ = try Scenario(yaml: example.yaml, file: "bad.yaml")
      Issue.record("decoded:\n\(example.yaml)")
    } catch {
      #expect(error.location.line == example.line, "\(error)")
      #expect(error.description.contains(example.message), "\(error)")
      #expect(error.description.hasPrefix("bad.yaml:\(example.line):"))
    }
  }

  @Test("no damage to a scenario does more than get it refused")
  func damage() {
    let text = Array(Examples.vfioGuest.unicodeScalars)
    let noise = Array("{}[]:,-#&*!|>'\"%@`~ \n\t0x9.\u{0}\u{85}\u{feff}é".unicodeScalars)
    var state: UInt64 = 1
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var refused = 0
    for _ in 0..<1000 {
      var damaged = text
      for _ in 0...random(3) {
        let place = random(damaged.count)
        switch random(3) {
        case 0: damaged.remove(at: place)
        case 1: damaged.insert(noise[random(noise.count)], at: place)
        default: damaged.replaceSubrange(place..<min(place + random(40), damaged.count), with: [])
        }
      }
      var yaml = String.UnicodeScalarView()
      yaml.append(contentsOf: damaged)
      do throws(ScenarioError) {
        _ = try Scenario(yaml: String(yaml), file: "damaged.yaml")
      } catch {
        refused += 1
        let lines = String(yaml).unicodeScalars.count { $0 == "\n" } + 1
        #expect((1...lines).contains(error.location.line), "\(error)")
      }
    }
    #expect(refused > 300)
  }

  @Test("two actors must be ordered before one uses what the other defines")
  func ordered() throws {
    func text(_ after: String, thread: String) -> String {
      """
      scenario: two
      summary: two actors
      machine: {memory: 1GiB}
      actors:
        - name: one
          steps:
            - map: {region: ram, size: 1MiB}
              label: mapped
        - name: two\(thread)
          steps:
            - touch: ram\(after)
      """
    }
    let thread = "\n    thread-of: one"
    #expect(throws: Never.self) {
      try Scenario(yaml: text("\n        after: [mapped]", thread: thread), file: "f")
    }
    for (after, thread, message) in [
      ("", thread, "nothing makes this step wait for one to define \"ram\" in line 7"),
      (
        "\n        after: [mapped]", "",
        "region ram belongs to process one, and two is not one of its threads"
      ),
    ] {
      let error = #expect(throws: ScenarioError.self) {
        try Scenario(yaml: text(after, thread: thread), file: "f")
      }
      #expect(error?.problem.contains(message) == true, "\(String(describing: error))")
    }
  }

  @Test("a step can wait for the beginning of another, with all that comes before it")
  func waitsForBeginning() throws {
    func text(_ late: String, pin: String = "") -> String {
      """
      scenario: two
      summary: two threads
      machine: {memory: 1GiB}
      actors:
        - name: one
          steps:
            - map: {region: ram, size: 1MiB}
            - pin: {as: dma, region: ram, flags: [longterm]}
              label: pinned\(pin)
        - name: two
          thread-of: one
          steps:
            - \(late)
              during: [pinned]
              label: second
      """
    }
    let scenario = try Scenario(yaml: text("touch: ram"), file: "f")
    #expect(scenario.actors[1].steps[0].during == ["pinned"])
    #expect(scenario.actors[1].steps[0].after.isEmpty)
    for (yaml, message) in [
      (text("unpin: dma"), "nothing makes this step wait for one to define \"dma\" in line 8"),
      (text("touch: ram", pin: "\n        during: [second]"), "waiting for pinned is circular"),
      (text("touch: ram", pin: "\n        after: [second]"), "waiting for pinned is circular"),
    ] {
      let error = #expect(throws: ScenarioError.self) { try Scenario(yaml: yaml, file: "f") }
      #expect(error?.problem.contains(message) == true, "\(String(describing: error))")
    }
  }

  @Test("a file that cannot be read is refused")
  func unreadable() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let binary = folder.appending(path: "binary.yaml").path
    try Data("scenario: a\nsummary: ".utf8 + [0xff, 0xfe]).write(to: URL(filePath: binary))
    for (path, message) in [
      (folder.appending(path: "none.yaml").path, ":1:1: cannot open the scenario: No such file or directory"),
      (folder.path, ":1:1: cannot read the scenario: Is a directory"),
      ("/dev/zero", ":1:1: a scenario has at most 1 MiB of text"),
      (binary, ":2:1: a scenario is UTF-8 text; found other bytes"),
    ] {
      let error = #expect(throws: ScenarioError.self) { try Scenario.load(path: path) }
      #expect(error?.description == path + message)
    }
  }

  @Test("a byte order mark is no mistake")
  func byteOrderMark() throws {
    let text = Examples.steps("- exit")
    #expect(
      try Scenario(yaml: "\u{feff}" + text, file: "f").actors.count
        == Scenario(yaml: text, file: "f").actors.count)
  }

  @Test("the text's hash is what sha256sum prints")
  func hash() throws {
    let texts: [(String, String)] = [
      ("vfio-guest.yaml", Examples.vfioGuest), ("short.yaml", Examples.steps("- exit")),
    ]
    for (name, text) in texts {
      let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString + name)
      try text.write(to: file, atomically: true, encoding: .utf8)
      defer { try? FileManager.default.removeItem(at: file) }
      let pipe = Pipe()
      let process = Process()
      process.executableURL = URL(filePath: "/usr/bin/sha256sum")
      process.arguments = [file.path]
      process.standardOutput = pipe
      try process.run()
      let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(output.hasPrefix(try Scenario.load(path: file.path).textHash))
    }
  }
}
