import HoldfastScenario

/// The agent's side of the protocol; one thread owns it.
final class ScenarioService {
  private var channel: LineChannel

  init(channel: consuming LineChannel) {
    self.channel = channel
  }

  /// Sends a message; if the host has closed the channel, the guest ends.
  func tell(_ message: GuestMessage) throws(GuestError) {
    guard channel.send(try GuestProtocol.line(message)) else { throw .host("the host does not listen") }
  }

  /// Answers requests until the host says halt.
  func serve() throws(GuestError) {
    while true {
      switch try hear() {
      case .run(let request): try run(request)
      case .monitor: throw .protocolBroken("found a monitor's answer that was not asked for")
      case .halt: return
      }
    }
  }

  /// Asks QEMU's monitor for something, and waits.
  func ask(_ request: MonitorRequest) throws(GuestError) -> MonitorReply {
    try tell(.monitor(request))
    guard case .monitor(let reply) = try hear() else {
      throw .protocolBroken("found another message, expected the monitor's answer")
    }
    return reply
  }

  private func hear() throws(GuestError) -> HostMessage {
    guard case .line(let line) = try channel.next() else { throw .host("the host is gone") }
    return try GuestProtocol.message(HostMessage.self, line)
  }

  private func run(_ request: RunRequest) throws(GuestError) {
    for _ in 0..<request.repeat {
      do throws(GuestFailure) {
        let report = try attempt(request)
        try tell(reporting: report)
      } catch {
        try tell(.failure(error))
        return
      }
    }
  }

  private func tell(reporting report: RunReport) throws(GuestFailure) {
    do throws(GuestError) {
      try tell(.report(report))
    } catch {
      throw GuestFailure("\(error)")
    }
  }

  /// Runs a scenario once.
  private func attempt(_ request: RunRequest) throws(GuestFailure) -> RunReport {
    let scenario: Scenario
    do throws(ScenarioError) {
      scenario = try Scenario(yaml: request.text, file: request.file)
    } catch {
      throw GuestFailure(error.description)
    }
    do throws(LinuxRunFailure) {
      return try LinuxRunner.run(
        scenario, policy: request.policy ?? scenario.policy, reach: .guest,
        onStep: { [self] record in
          // A closed channel is noticed when the report is sent.
          try? tell(.step(record))
        },
        monitor: { [self] wish in MachineMonitor(ask: ask).grant(wish) })
    } catch {
      throw GuestFailure(error.description)
    }
  }
}
