import ArgumentParser
import HoldfastLab
import HoldfastLinux
import HoldfastScenario

/// Why the command ends without having done what it was asked for.
enum Failure: Error {
  /// Usage, or input that cannot be used.
  case badInput(String)
  /// What this host lacks.
  case cannotRun(String)
  /// A bug in Holdfast.
  case internalError(String)
  /// Output that could not be written.
  case unwritten(String)
  /// Everything has been said already.
  case said(exitCode: Int32)

  init(_ error: ScenarioError) {
    self = .badInput(error.description)
  }

  init(_ failure: RunFailure) {
    self =
      switch failure {
      case .badInput(let text): .badInput(text)
      case .cannotRun(let text): .cannotRun(text)
      case .internalError(let text): .internalError(text)
      }
  }

  init(_ error: GuestError) {
    self =
      switch error {
      case .missing, .host: .cannotRun(error.description)
      case .protocolBroken, .ended, .deadline: .internalError(error.description)
      }
  }

  /// Runs something that a failure of the lab can end.
  static func rethrow<T>(_ body: () throws(RunFailure) -> T) throws(Failure) -> T {
    do throws(RunFailure) {
      return try body()
    } catch {
      throw Failure(error)
    }
  }

  /// Runs something that a guest's errors can end.
  static func rethrow<T>(_ body: () throws(GuestError) -> T) throws(Failure) -> T {
    do throws(GuestError) {
      return try body()
    } catch {
      throw Failure(error)
    }
  }

  /// A message such as `unknown policy "linux-6.2"; did you mean "linux-6.1"? allowed: linux-5.5, ...`.
  static func unknown(_ what: String, _ word: String, allowed: [String]) -> String {
    let suggestion = Spelling.nearest(to: word, among: allowed).map { "did you mean \"\($0)\"? " } ?? ""
    return "unknown \(what) \"\(word)\"; \(suggestion)allowed: \(allowed.joined(separator: ", "))"
  }

  /// Says what went wrong, and what the process ends with.
  static func report(_ error: any Error) -> Int32 {
    guard let failure = error as? Failure else { return report(parser: error) }
    switch failure {
    case .badInput(let text):
      Console.complain(text)
      return 2
    case .cannotRun(let text):
      Console.complain("cannot run here: \(text)")
      return 3
    case .internalError(let text):
      Console.complain("internal error: \(text)")
      return 4
    case .unwritten(let text):
      Console.complain(text)
      return 4
    case .said(let exitCode):
      return exitCode
    }
  }

  /// Help and the version come as errors too, which are none.
  private static func report(parser error: any Error) -> Int32 {
    let text = HoldfastCommand.fullMessage(for: error)
    switch HoldfastCommand.exitCode(for: error) {
    case .success:
      do throws(Failure) {
        try Console.write(text + "\n")
        return 0
      } catch {
        return report(error)
      }
    case .validationFailure:
      Console.complain(text.hasPrefix("Error: ") ? String(text.dropFirst(7)) : text)
      return 2
    default:
      Console.complain("internal error: \(text)")
      return 4
    }
  }
}
