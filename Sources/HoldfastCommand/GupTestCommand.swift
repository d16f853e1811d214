import ArgumentParser
import Glibc
import Holdfast
import HoldfastLab
import HoldfastScenario
import Synchronization

/// The kernel's gup_test tool, on the engine.
struct GupTestVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gup-test",
    abstract: "Do what the kernel's gup_test tool does, on the engine: its options, its lines.",
    discussion: """
      The machine is made for the size: user memory begins in ZONE_MOVABLE. What the kernel would log goes to \
      standard error, each line behind 'kernel: '. Of flags that exclude each other the last one holds. \
      Documentation/GupTest.md says where the engine and Linux differ.

      Exit codes: 0 done, 1 a system call failed, 2 usage, 3 the engine cannot do it, 255 the file cannot be opened.
      """)

  @Flag(exclusivity: .chooseLast)
  var command = CommandFlag.gupFast
  @Flag(name: .customShort("p"), help: "With -c: pin_user_pages.")
  var pin = false

  @Option(
    name: .customShort("F"), parsing: .unconditional,
    help: ArgumentHelp("FOLL_* flags of 6.1.", valueName: "flags"), transform: GupTestNumber.flags)
  var flags: UInt32 = 0
  @Option(
    name: .customShort("m"), parsing: .unconditional, help: ArgumentHelp("Memory.", valueName: "MiB"))
  var megabytes: Int = 128
  @Option(
    name: .customShort("r"), parsing: .unconditional,
    help: ArgumentHelp("Times that a timed command is done.", valueName: "count"))
  var repeats: Int = 1
  @Option(
    name: .customShort("n"), parsing: .unconditional,
    help: ArgumentHelp("Pages of one call.", valueName: "count"))
  var pagesPerCall: Int = 1
  @Option(
    name: .customShort("j"), parsing: .unconditional,
    help: ArgumentHelp("Threads that do the same at once.", valueName: "count"))
  var threads: Int = 1
  @Option(name: .customShort("f"), help: ArgumentHelp("The file to map.", valueName: "file"))
  var file = "/dev/zero"

  @Flag(exclusivity: .chooseLast)
  var advice: AdviceFlag?
  @Flag(exclusivity: .chooseLast)
  var access = AccessFlag.write
  @Flag(name: .customShort("S"), help: "Map shared.")
  var shared = false
  @Flag(name: .customShort("H"), help: "Map huge pages of the hugetlb pool.")
  var hugetlb = false
  @Flag(name: .customShort("z"), help: "Do not touch the pages first, and add FOLL_TOUCH.")
  var faultInside = false

  @Option(
    help: ArgumentHelp(
      "Whose pinning rules hold; see 'holdfast policies'.", valueName: "name"),
    transform: PolicyWords.policy)
  var policy = PolicyName.standard

  @Argument(
    help: ArgumentHelp("Indexes of pages to dump, at most eight.", valueName: "index"),
    transform: GupTestNumber.index)
  var indexes: [UInt32] = []

  func run() throws {
    try checkFile()
    guard let policy = PlacementPolicy(name: policy.rawValue) else {
      throw Failure.internalError("no rules for the policy \(policy)")
    }
    let request = request
    let test: GupTest
    let unwritten = Mutex<Failure?>(nil)
    do {
      test = try GupTest(request, policy: policy)
      try test.run { result in
        do throws(Failure) {
          try Self.show(result, of: request)
        } catch {
          unwritten.withLock { $0 = $0 ?? error }
        }
      }
    } catch {
      switch error {
      case .call(let error):
        Console.draw("\(error.operation == .map ? "mmap" : error.operation.rawValue): \(error.errno)\n")
        Console.complain(error.description)
        throw Failure.said(exitCode: 1)
      case .machine(let error):
        throw Failure.cannotRun("the engine has no machine for this: \(error)")
      }
    }
    if let failure = unwritten.withLock({ $0 }) { throw failure }
  }

  /// The engine's areas are memory: a file cannot be mapped.
  private func checkFile() throws(Failure) {
    guard file != "/dev/zero" else { return }
    let descriptor = open(file, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else {
      Console.draw("open: \(Console.describe(errno))\n")
      throw .said(exitCode: 255)
    }
    close(descriptor)
    throw .cannotRun(
      "the engine has no mappings of files such as \(file); it maps /dev/zero, which is memory")
  }

  private var request: GupTestRequest {
    var request = GupTestRequest()
    request.command = command.command
    request.dumpsPinned = pin
    request.dumpedPages = indexes.isEmpty ? [1] : Array(indexes.prefix(GupTestRequest.maxDumpedPages))
    request.size = UInt64(megabytes) << 20
    request.repeats = repeats
    request.pagesPerCall = UInt32(truncatingIfNeeded: pagesPerCall)
    request.threads = threads
    var raw = PinFlags(rawValue: flags)
    if access == .write { raw.insert(.write) }
    if faultInside { raw.insert(.touch) }
    request.flags = raw
    request.touchesFirst = !faultInside
    switch advice {
    case .hugePages: request.advice = .hugePage
    case .noHugePages: request.advice = .noHugePage
    case nil: break
    }
    request.isShared = shared
    request.isHugetlb = hugetlb
    return request
  }

  func validate() throws {
    guard (0...(1 << 22)).contains(megabytes) else {
      throw ValidationError("-m \(megabytes): expected 0 to \(1 << 22) MiB")
    }
    guard repeats >= 0 else { throw ValidationError("-r \(repeats): expected a count") }
    guard (0...256).contains(threads) else {
      throw ValidationError("-j \(threads): expected 0 to 256 threads")
    }
  }

  // MARK: - Lines

  private static func show(_ result: GupTestResult, of request: GupTestRequest) throws(Failure) {
    let name = result.command.rawValue
    let isShort = result.size != request.size
    var line: String
    if result.command.isBenchmark {
      line = "\(name): Time: get:\(result.getMicroseconds) put:\(result.putMicroseconds) us"
      if isShort { line += ", truncated (size: \(result.size))" }
      line += "\n"
    } else {
      line = "\(name): done\n"
      if isShort { line += "Truncated (size: \(result.size))\n" }
    }
    for text in result.log { Console.draw("kernel: \(text)\n") }
    if let failure = result.failure {
      Console.complain("\(name) stopped after \(result.size) bytes: \(failure)")
    }
    try Console.write(line)
  }
}

extension GupTestVerb {
  /// Chooses the command.
  enum CommandFlag: EnumerableFlag {
    case gupFast, pinFast, pinLongterm, gupBasic, pinBasic, dump

    var command: GupTestCommand {
      switch self {
      case .gupFast: .gupFast
      case .pinFast: .pinFast
      case .pinLongterm: .pinLongterm
      case .gupBasic: .gupBasic
      case .pinBasic: .pinBasic
      case .dump: .dump
      }
    }

    static func name(for value: Self) -> NameSpecification {
      switch value {
      case .gupFast: .customShort("u")
      case .pinFast: .customShort("a")
      case .pinLongterm: .customShort("L")
      case .gupBasic: .customShort("U")
      case .pinBasic: .customShort("b")
      case .dump: .customShort("c")
      }
    }

    static func help(for value: Self) -> ArgumentHelp? {
      switch value {
      case .gupFast: "get_user_pages_fast, timed."
      case .pinFast: "pin_user_pages_fast, timed."
      case .pinLongterm: "pin_user_pages with FOLL_LONGTERM, timed."
      case .gupBasic: "get_user_pages."
      case .pinBasic: "pin_user_pages."
      case .dump: "get_user_pages, and dumps of the pages with the given indexes, or of page 0."
      }
    }
  }

  /// Chooses what madvise is told.
  enum AdviceFlag: EnumerableFlag {
    case hugePages, noHugePages

    static func name(for value: Self) -> NameSpecification {
      value == .hugePages ? .customShort("t") : .customShort("T")
    }

    static func help(for value: Self) -> ArgumentHelp? {
      value == .hugePages ? "Advise huge pages." : "Advise no huge pages."
    }
  }

  /// Chooses what the pages are for.
  enum AccessFlag: EnumerableFlag {
    case write, read

    static func name(for value: Self) -> NameSpecification {
      value == .write ? .customShort("w") : .customShort("W")
    }

    static func help(for value: Self) -> ArgumentHelp? {
      value == .write ? "FOLL_WRITE: pages are wanted for writing." : "Pages are not wanted for writing."
    }
  }
}

extension GupTestVerb {
  /// Takes bundled flags apart as getopt does: `-Lj4` is `-L -j 4`.
  static func unbundled(_ arguments: some Sequence<String>) -> [String] {
    var result: [String] = []
    var isValue = false
    for (index, argument) in arguments.enumerated() {
      guard index > 0, !isValue, argument.hasPrefix("-"), !argument.hasPrefix("--"), argument.count > 1 else {
        isValue = !isValue && argument == "--policy"
        result.append(argument)
        continue
      }
      var letters = argument.dropFirst()
      while let letter = letters.popFirst() {
        result.append("-\(letter)")
        guard "Fmrnjf".contains(letter) else { continue }
        isValue = letters.isEmpty
        if !letters.isEmpty { result.append(String(letters)) }
        break
      }
    }
    return result
  }
}

/// Numbers as strtol reads them with base 0: decimal, 0x and hexadecimal, 0 and octal.
enum GupTestNumber {
  private static func number(_ word: String, _ what: String) throws -> Int {
    let isNegative = word.hasPrefix("-")
    let digits = isNegative ? word.dropFirst() : word[...]
    let value: Int? =
      if digits.hasPrefix("0x") || digits.hasPrefix("0X") {
        Int(digits.dropFirst(2), radix: 16)
      } else if digits.hasPrefix("0"), digits.count > 1 {
        Int(digits.dropFirst(), radix: 8)
      } else {
        Int(digits)
      }
    guard let value, digits.first?.isHexDigit == true else {
      throw ValidationError("\(word) is not a \(what); expected a number such as 19 or 0x1000")
    }
    return isNegative ? -value : value
  }

  /// FOLL_* bits.
  static func flags(_ word: String) throws -> UInt32 {
    UInt32(truncatingIfNeeded: try number(word, "set of flags"))
  }

  /// A page index, counted from 1 as the kernel's interface does.
  static func index(_ word: String) throws -> UInt32 {
    UInt32(truncatingIfNeeded: try number(word, "page index") &+ 1)
  }
}
