/// Why a guest could not be made, or was lost.
public enum GuestError: Error, Sendable, Equatable, CustomStringConvertible {
  /// This host lacks something; `command` installs it.
  case missing(String, command: String)
  /// A file or a process could not be made.
  case host(String)
  /// Something other than a message was sent.
  case protocolBroken(String)
  /// The guest ended although it should not have; with the end of its console.
  case ended(String, console: String)
  /// The guest did not answer in time and was killed; with the end of its console.
  case deadline(String, seconds: Int, console: String)

  /// What happened, what helps, and the end of the console.
  public var description: String {
    switch self {
    case .missing(let what, let command): "\(what); to put it there: \(command)"
    case .host(let text): text
    case .protocolBroken(let text): "a message between host and guest is wrong: \(text)"
    case .ended(let what, let console): "\(what)\(Self.tail(console))"
    case .deadline(let what, let seconds, let console):
      "the guest was ended after \(seconds) seconds \(what)\(Self.tail(console))"
    }
  }

  private static func tail(_ console: String) -> String {
    console.isEmpty ? "; its console is empty" : "; the end of its console:\n\(console)"
  }
}
