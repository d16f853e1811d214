/// Changes of the machine, as commands of QEMU's monitor.
struct MachineMonitor {
  /// Asks the monitor, on the host.
  let ask: (MonitorRequest) throws(GuestError) -> MonitorReply

  /// Does what a step of a scenario asks for.
  func grant(_ wish: MachineRequest) -> MachineReply {
    do throws(GuestError) {
      switch wish {
      case .addMemory(let bytes, let node): return try add(bytes, node)
      case .removeMemory(let address): return try remove(address)
      }
    } catch {
      return .failed(error.description)
    }
  }

  private func add(_ bytes: UInt64, _ node: Int) throws(GuestError) -> MachineReply {
    let taken = Set(try modules().compactMap { $0["id"]?.text })
    guard let number = (0...255).first(where: { !taken.contains("added\($0)") }) else {
      return .failed("the machine has no slot left")
    }
    let backend: [String: JSONValue] = [
      "qom-type": .string("memory-backend-ram"), "id": .string("memory\(number)"),
      "size": .integer(Int64(bytes)),
    ]
    let module: [String: JSONValue] = [
      "driver": .string("pc-dimm"), "id": .string("added\(number)"), "memdev": .string("memory\(number)"),
      "node": .integer(Int64(node)),
    ]
    for request in [MonitorRequest("object-add", backend), MonitorRequest("device_add", module)] {
      if case .error(let text) = try ask(request) { return .failed(text) }
    }
    return .done
  }

  private func remove(_ address: UInt64) throws(GuestError) -> MachineReply {
    let found = try modules().first { module in
      guard case .integer(let start)? = module["addr"], case .integer(let size)? = module["size"] else {
        return false
      }
      return UInt64(start)..<UInt64(start + size) ~= address
    }
    guard let id = found?["id"]?.text else {
      return .failed("this memory is part of the board, not a module that can be removed")
    }
    if case .error(let text) = try ask(MonitorRequest("device_del", ["id": .string(id)])) {
      return .failed(text)
    }
    // The memory behind the module is removed too, because its name could not be used again otherwise.
    if let memory = found?["memdev"]?.text?.split(separator: "/").last {
      if case .error(let text) = try ask(MonitorRequest("object-del", ["id": .string(String(memory))])) {
        return .failed(text)
      }
    }
    return .done
  }

  /// The memory modules that can be removed.
  private func modules() throws(GuestError) -> [JSONValue] {
    guard case .result(.array(let devices)) = try ask(MonitorRequest("query-memory-devices")) else {
      return []
    }
    return devices.compactMap { $0["data"] }
  }
}
