/// The decisions of one execution: which actor ran at each step, and which value each choice had.
///
/// Written `v1:HASH:0*5,1,b0,c1`: actor 0 for five steps, actor 1, a flush of actor 0's store buffer, choice 1.
public struct Schedule: Codable, Hashable, Sendable, CustomStringConvertible {
  /// One decision.
  public enum Decision: Codable, Hashable, Sendable {
    case actor(Int)
    case flush(Int)
    case choice(Int)
  }

  /// The hash of the program that the schedule is for.
  public var programHash: UInt64
  /// The decisions from the beginning; after the last one, actors run with as few interruptions as possible.
  public var decisions: [Decision]

  /// A schedule.
  public init(programHash: UInt64, decisions: [Decision]) {
    self.programHash = programHash
    self.decisions = decisions
  }

  /// The schedule that a text describes.
  ///
  /// - Throws: `ExplorationError` naming the part that cannot be read.
  public init(_ text: String) throws(ExplorationError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "v1" else {
      throw ExplorationError("schedule: found \"\(text.prefix(40))\", expected v1:HASH:DECISIONS")
    }
    guard parts[1].count == 16, let hash = UInt64(parts[1], radix: 16) else {
      throw ExplorationError("schedule: found hash \"\(parts[1])\", expected 16 hexadecimal digits")
    }
    programHash = hash
    decisions = []
    for run in parts[2].split(separator: ",") {
      let pieces = run.split(separator: "*", omittingEmptySubsequences: false)
      guard pieces.count <= 2, let decision = Self.decision(pieces[0]),
        let count = pieces.count == 2 ? Int(pieces[1]) : 1, count > 0, count <= 1_000_000
      else {
        throw ExplorationError("schedule: found \"\(run)\", expected N, bN or cN, and *COUNT for repetition")
      }
      decisions += Array(repeating: decision, count: count)
    }
  }

  private static func decision(_ text: Substring) -> Decision? {
    switch text.first {
    case "b": number(text.dropFirst(), below: ExploredProgram.maximumActors).map(Decision.flush)
    case "c": number(text.dropFirst(), below: 256).map(Decision.choice)
    default: number(text, below: ExploredProgram.maximumActors).map(Decision.actor)
    }
  }

  private static func number(_ text: Substring, below limit: Int) -> Int? {
    guard let number = Int(text), number >= 0, number < limit else { return nil }
    return number
  }

  /// The text of the schedule.
  public var description: String {
    let digits = String(programHash, radix: 16)
    var runs: [String] = []
    var index = 0
    while index < decisions.count {
      let decision = decisions[index]
      var end = index
      while end < decisions.count, decisions[end] == decision { end += 1 }
      let name =
        switch decision {
        case .actor(let actor): "\(actor)"
        case .flush(let actor): "b\(actor)"
        case .choice(let value): "c\(value)"
        }
      runs.append(end - index > 1 ? "\(name)*\(end - index)" : name)
      index = end
    }
    return "v1:" + String(repeating: "0", count: 16 - digits.count) + digits + ":"
      + runs.joined(separator: ",")
  }
}
