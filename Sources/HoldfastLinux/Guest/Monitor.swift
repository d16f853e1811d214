/// QEMU's monitor (QMP): commands and their answers, between events.
struct Monitor: ~Copyable {
  /// How long the guest may take to release a device.
  ///
  /// The limit is needed because offlining a block with pinned memory never ends.
  private static let patience = Duration.seconds(60)
  /// How long QEMU may take to answer.
  private static let quick = Duration.seconds(20)

  private var channel: LineChannel
  /// Events that were received and not waited for yet.
  private var events: [JSONValue] = []

  /// Takes over a descriptor.
  init(owning descriptor: Int32) {
    channel = LineChannel(owning: descriptor)
  }

  /// Opens the session; QEMU takes no command before that.
  mutating func greet() throws(GuestError) {
    guard case .line = try channel.next(until: .now + Self.quick) else {
      throw .host("QEMU's monitor does not answer")
    }
    if case .error(let text) = try answer(MonitorRequest("qmp_capabilities")) {
      throw .host("QEMU's monitor: \(text)")
    }
  }

  /// Does what the agent asks for.
  mutating func perform(_ request: MonitorRequest) throws(GuestError) -> MonitorReply {
    let reply = try answer(request)
    guard request.execute == "device_del", case .result = reply, let device = request.arguments?["id"] else {
      return reply
    }
    return try removal(of: device) ?? reply
  }

  private mutating func answer(_ request: MonitorRequest) throws(GuestError) -> MonitorReply {
    // An answer repeats the "id" of its command; there is one command at a time, so none is needed.
    guard channel.send(try GuestProtocol.line(request)) else { return .error("the monitor is gone") }
    let deadline = ContinuousClock.now + Self.quick
    while let message = try next(until: deadline) {
      if let result = message["return"] { return .result(result) }
      if let error = message["error"] {
        return .error(error["desc"]?.text ?? "an error without a description")
      }
      events.append(message)
    }
    return .error("the monitor does not answer")
  }

  /// Waits until the guest releases a device; nil if it does.
  private mutating func removal(of device: JSONValue) throws(GuestError) -> MonitorReply? {
    let deadline = ContinuousClock.now + Self.patience
    while true {
      while !events.isEmpty {
        let event = events.removeFirst()
        guard event["data"]?["device"] == device else { continue }
        switch event["event"]?.text {
        case "DEVICE_DELETED": return nil
        case "MEM_UNPLUG_ERROR", "DEVICE_UNPLUG_GUEST_ERROR":
          return .error(event["data"]?["msg"]?.text ?? "the guest does not release the device")
        default: continue
        }
      }
      guard let message = try next(until: deadline) else {
        return .error("the guest has not released the device within \(Self.patience.components.seconds) s")
      }
      events.append(message)
    }
  }

  private mutating func next(until deadline: ContinuousClock.Instant) throws(GuestError) -> JSONValue? {
    guard case .line(let line) = try channel.next(until: deadline) else { return nil }
    return try GuestProtocol.message(JSONValue.self, line)
  }
}
