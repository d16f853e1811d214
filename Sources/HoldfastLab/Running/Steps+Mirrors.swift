import Holdfast
import HoldfastScenario

/// The verb of devices with page tables of their own: each process has one device, opened by its first such step.
extension Stage {
  func device(
    _ action: DeviceAction, _ part: Part, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let mirror = try mirror(of: process, actor.process)
    let address = address(of: part)
    switch action {
    case .exclusive:
      try mirroring { () throws(MirrorError) in
        try machine.makeExclusive(mirror, at: address, pages: part.pages, by: process)
      }
    case .checkExclusive:
      // The driver refuses while it has one of the pages (lib/test_hmm.c:dmirror_check_atomic (6.1)).
      let held = machine.exclusiveFrames(of: mirror, at: address, pages: part.pages).count { $0 != nil }
      guard held == 0 else {
        throw stop(.EPERM, .address, "the device has exclusive access to \(held) of \(part.pages) pages")
      }
    case .atomic:
      return try StepResult.pageByPage(part.pages) { page throws(StepStop) in
        try mirroring { () throws(MirrorError) in
          try machine.update(mirror, at: address + UInt64(page * pageSize)) { addToBytes(of: $0) }
        }
      }
    case .migrateToDevice, .migrateToSystem, .read, .write, .snapshot:
      throw .lacking("device \(action.rawValue)")
    }
    return StepResult(allOf: part.pages)
  }

  private func mirror(of process: Process, _ name: String) throws(StepStop) -> DeviceMirror {
    if let open = mirrors[name] { return open }
    let new = try mirroring { () throws(MirrorError) in try machine.openMirror(of: process) }
    mirrors[name] = new
    return new
  }

  /// Closes the device of a process, which happens after its memory has gone.
  func closeMirror(of name: String) {
    guard let mirror = mirrors.removeValue(forKey: name) else { return }
    machine.closeMirror(mirror)
  }

  private func mirroring<Result>(_ body: () throws(MirrorError) -> Result) throws(StepStop) -> Result {
    do { return try body() } catch {
      let stage: FailureStage =
        switch error.cause {
        case .tableFull: .allocate
        case .pin(let pin): throw stop(pin)
        case .refused, .revoked, .notExclusive, .notAnonymous, .ended: .address
        case .badRange, .notSupported, .noBytes: .argument
        }
      throw stop(ErrorNumber(error.errno), stage, error.description)
    }
  }
}
