public import Holdfast
import Interleaving

/// When an invariant must hold.
public enum InvariantMoment: String, Hashable, Sendable {
  /// At any instant between two steps.
  case always
  /// When no call is in progress.
  case quiesced
}

/// A breach of an invariant.
public struct InvariantViolation: Hashable, Sendable, CustomStringConvertible {
  /// The invariant's name.
  public let invariant: String
  /// What is wrong, in a sentence.
  public let what: String

  /// Name and sentence.
  public var description: String { "\(invariant): \(what)" }
}

/// A named condition over a machine's tables.
public struct Invariant: Sendable {
  /// A short name, as `holdfast invariants` lists it.
  public let name: String
  /// Its numbers in chapter 12 of the rules, and the properties of the bug catalogue.
  public let source: String
  /// One line that says what holds.
  public let statement: String
  /// When it holds.
  public let moment: InvariantMoment
  let check: @Sendable (InvariantContext) -> [String]
}

/// The input of a check: the machine, a fresh count, and the isolation references that callers hold.
struct InvariantContext {
  let machine: Machine
  let recount: Recount
  /// Folios that an actor keeps isolated, with how often.
  let isolated: [FrameNumber: Int]
  /// Frames that actors allocated as the kernel would.
  let kernelFrames: Set<FrameNumber>
}

extension Invariant {
  /// Checks every invariant of a machine.
  ///
  /// Looks at all tables: for tests, scenarios and small machines.
  ///
  /// - Parameters:
  ///   - machine: the machine, in which no other thread acts.
  ///   - quiesced: whether no call is in progress, so that all of them must hold.
  ///   - isolated: folios that callers hold isolated.
  ///   - kernelFrames: heads of folios that callers allocated themselves.
  /// - Returns: the breaches; empty if all hold.
  public static func violations(
    of machine: Machine, quiesced: Bool = true, isolated: [FrameNumber] = [],
    kernelFrames: Set<FrameNumber> = []
  ) -> [InvariantViolation] {
    var held: [FrameNumber: Int] = [:]
    for frame in isolated { held[frame, default: 0] += 1 }
    return LockOrder.atRest("no thread acts on a machine while all of it is looked at") {
      let context = InvariantContext(
        machine: machine, recount: Recount(machine), isolated: held, kernelFrames: kernelFrames)
      return all.filter { quiesced || $0.moment == .always }.flatMap { invariant in
        invariant.check(context).map { InvariantViolation(invariant: invariant.name, what: $0) }
      }
    }
  }

  /// Every invariant, in the order of the rules.
  public static let all: [Invariant] =
    counting + reverseMapping + pins + placement + lists + charging + devices + promises
}
