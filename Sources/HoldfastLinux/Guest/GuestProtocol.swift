import FoundationEssentials
public import HoldfastScenario

/// The messages between the host and the guest's agent.
///
/// They are JSON objects, one on each line, over a virtio serial port.
public enum GuestProtocol {
  /// The port's name.
  public static let port = "org.holdfast.agent"

  /// A message as a line, with its line feed.
  static func line(_ message: some Encodable) throws(GuestError) -> [UInt8] {
    do {
      return Array(try JSONEncoder().encode(message)) + [UInt8(ascii: "\n")]
    } catch {
      throw .protocolBroken("a message cannot be written: \(error)")
    }
  }

  /// The message of a line.
  static func message<Message: Decodable>(_: Message.Type, _ line: [UInt8]) throws(GuestError) -> Message {
    do {
      return try JSONDecoder().decode(Message.self, from: Data(line))
    } catch {
      let text = String(decoding: line.prefix(200), as: UTF8.self)
      throw .protocolBroken("found \(text), expected a message: \(error)")
    }
  }
}

/// A message of the guest.
public enum GuestMessage: Codable, Sendable, Equatable {
  /// The agent waits for requests.
  case ready(GuestReady)
  /// A step ended.
  case step(StepRecord)
  /// The agent asks QEMU's monitor for something, and waits for the answer.
  case monitor(MonitorRequest)
  /// A run ended.
  case report(RunReport)
  /// The scenario cannot run.
  case failure(GuestFailure)

  private enum CodingKeys: String, CodingKey {
    case ready, step, monitor, report, failure
  }

  /// Reads the form that is sent.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    switch values.allKeys.first {
    case .ready?: self = .ready(try values.decode(GuestReady.self, forKey: .ready))
    case .step?: self = .step(try values.decode(StepRecord.self, forKey: .step))
    case .monitor?: self = .monitor(try values.decode(MonitorRequest.self, forKey: .monitor))
    case .report?: self = .report(try values.decode(RunReport.self, forKey: .report))
    case .failure?: self = .failure(try values.decode(GuestFailure.self, forKey: .failure))
    case nil: throw DecodingError.unknownMessage(decoder)
    }
  }

  /// Writes the form that is sent.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .ready(let value): try values.encode(value, forKey: .ready)
    case .step(let value): try values.encode(value, forKey: .step)
    case .monitor(let value): try values.encode(value, forKey: .monitor)
    case .report(let value): try values.encode(value, forKey: .report)
    case .failure(let value): try values.encode(value, forKey: .failure)
    }
  }
}

/// A message of the host.
public enum HostMessage: Codable, Sendable, Equatable {
  /// Run a scenario.
  case run(RunRequest)
  /// End the guest.
  case halt
  /// What the monitor answered.
  case monitor(MonitorReply)

  private enum CodingKeys: String, CodingKey {
    case run, halt, monitor
  }

  private struct Nothing: Codable {}

  /// Reads the form that is sent.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    switch values.allKeys.first {
    case .run?: self = .run(try values.decode(RunRequest.self, forKey: .run))
    case .halt?: self = .halt
    case .monitor?: self = .monitor(try values.decode(MonitorReply.self, forKey: .monitor))
    case nil: throw DecodingError.unknownMessage(decoder)
    }
  }

  /// Writes the form that is sent.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .run(let value): try values.encode(value, forKey: .run)
    case .halt: try values.encode(Nothing(), forKey: .halt)
    case .monitor(let value): try values.encode(value, forKey: .monitor)
    }
  }
}

/// The agent's first message.
public struct GuestReady: Codable, Sendable, Equatable {
  /// The kernel's release.
  public var kernel: String
  /// SHA-256 of the kernel's configuration.
  public var config: String
}

/// Why a scenario cannot run in the guest.
public struct GuestFailure: Error, Codable, Sendable, Equatable, CustomStringConvertible {
  /// A sentence.
  public var message: String

  /// A failure.
  public init(_ message: String) {
    self.message = message
  }

  /// The sentence.
  public var description: String { message }
}

/// A scenario to run.
public struct RunRequest: Codable, Sendable, Equatable {
  /// The name of the scenario in messages.
  public var file: String
  /// Its YAML.
  public var text: String
  /// The policy, instead of the scenario's.
  public var policy: PolicyName?
  /// The number of runs; each gives a report.
  public var `repeat`: Int

  /// A request.
  public init(file: String, text: String, policy: PolicyName? = nil, repeat count: Int = 1) {
    self.file = file
    self.text = text
    self.policy = policy
    self.repeat = count
  }
}

extension DecodingError {
  fileprivate static func unknownMessage(_ decoder: any Decoder) -> DecodingError {
    .dataCorrupted(Context(codingPath: decoder.codingPath, debugDescription: "an unknown message"))
  }
}
