internal import Foundation
import Holdfast
public import HoldfastScenario
import Interleaving

/// The state of an exploration that ended before it was complete.
public struct ExploreCheckpoint {
  /// What is explored, and how; an exploration continues only if all of it is the same.
  struct Subject: Codable, Equatable {
    var scenario: String
    var text: String
    var policy: String
    var search: String
    var without: [String]
    var faults: Int
    var storeBuffers: Bool
    var build: String

    init(_ scenario: Scenario, _ options: ExploreOptions) {
      self.scenario = scenario.name
      text = "\(scenario.textHash)"
      policy = (options.policy ?? scenario.policy).rawValue
      search = "\(options.search)"
      without = options.without.sorted()
      faults = options.faults
      storeBuffers = options.storeBuffers
      build = BuildIdentity.hash
    }
  }

  private struct Body: Codable {
    var subject: Subject
    var passes: [ExploreReport.Pass]
    var place: Checkpoint
    var findings: [Finding]
    var occurrences: [String: Int]
    var ends: [UInt64]?
  }

  private var body: Body

  /// The searches so far; the last one is to be continued.
  var passes: [ExploreReport.Pass] { body.passes }
  /// The state of the last one.
  var place: Checkpoint { body.place }
  /// What was found.
  var findings: [Finding] { body.findings }
  /// How often.
  var occurrences: [String: Int] { body.occurrences }

  /// The hashes of the different ends so far; nil if they were too many.
  var ends: [UInt64]? { body.ends }

  init(
    _ subject: Subject, passes: [ExploreReport.Pass], place: Checkpoint, findings: [Finding],
    occurrences: [String: Int], ends: [UInt64]?
  ) {
    body = Body(
      subject: subject, passes: passes, place: place, findings: findings, occurrences: occurrences, ends: ends
    )
  }

  /// Executions so far.
  public var executions: Int { passes.reduce(0) { $0 + $1.executions } }

  // MARK: The file

  private static let title = "holdfast-checkpoint"
  private static let version = "1.\(Checkpoint.currentVersion)"

  /// The contents of a file that keeps it: a line with the version and a hash, then JSON.
  public func contents() throws(RunFailure) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json: Data
    do {
      json = try encoder.encode(body)
    } catch {
      throw RunFailure.internalError("checkpoint: \(error)")
    }
    return Array("\(Self.title) \(Self.version) \(Self.hash([UInt8](json)))\n".utf8) + json
  }

  /// Reads what `contents` has written.
  ///
  /// - Throws: `RunFailure.badInput` naming the file, what was found and what was expected.
  public init(_ contents: [UInt8], file: String) throws(RunFailure) {
    let line = contents.prefix { $0 != UInt8(ascii: "\n") }
    let words = String(decoding: line.prefix(80), as: UTF8.self).split(separator: " ")
    guard words.count == 3, words[0] == Self.title else {
      throw RunFailure.badInput(
        "\(file): found \"\(String(decoding: line.prefix(40), as: UTF8.self))\", expected a checkpoint, which "
          + "begins with \(Self.title)")
    }
    guard words[1] == Self.version else {
      throw RunFailure.badInput(
        "\(file): found a checkpoint of version \(words[1]), expected \(Self.version)")
    }
    let json = [UInt8](contents.dropFirst(line.count + 1))
    let hash = Self.hash(json)
    guard words[2] == hash else {
      throw RunFailure.badInput(
        "\(file): the checkpoint is damaged; found \(json.count) bytes of hash \(hash), expected \(words[2])")
    }
    do {
      body = try JSONDecoder().decode(Body.self, from: Data(json))
    } catch {
      throw RunFailure.badInput("\(file): the checkpoint is damaged; \(error)")
    }
    guard !body.passes.isEmpty else {
      throw RunFailure.badInput("\(file): found a checkpoint without a search, expected 1 or more")
    }
  }

  private static func hash(_ bytes: [UInt8]) -> String {
    var hash = Hash64()
    bytes.withUnsafeBytes { hash.combine(memory: $0) }
    let digits = String(hash.value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  // MARK: Going on

  /// Checks that the checkpoint belongs to the same exploration.
  func accept(_ subject: Subject) throws(RunFailure) {
    let found = body.subject
    let pairs: [(String, String, String)] = [
      ("scenario", found.scenario, subject.scenario), ("scenario text", found.text, subject.text),
      ("policy", found.policy, subject.policy), ("search", found.search, subject.search),
      ("--without", found.without.joined(separator: " "), subject.without.joined(separator: " ")),
      ("--faults", "\(found.faults)", "\(subject.faults)"),
      ("--store-buffers", found.storeBuffers ? "yes" : "no", subject.storeBuffers ? "yes" : "no"),
      ("build", found.build, subject.build),
    ]
    if let (what, found, expected) = pairs.first(where: { $0.1 != $0.2 }) {
      throw RunFailure.badInput(
        "the checkpoint is of another exploration: found \(what) \(found), expected \(expected)")
    }
  }
}
