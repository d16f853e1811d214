import Holdfast
import HoldfastScenario

/// The verbs of references and pins.
extension Stage {
  func grab(
    _ grab: Verb.Grab, purpose: PinPurpose?, step: Step, by actor: Scenario.Actor
  ) throws(StepFailure) -> StepDone {
    let process = try process(of: actor)
    let (region, address, pages) = try span(grab.range)
    guard let owner = region.process == actor.process ? process : processes[region.process] else {
      throw StepFailure(.ESRCH, .argument, "the process \(region.process) has ended")
    }
    let name = grab.name ?? ""
    let hold =
      holds[name]
      ?? Hold(
        process: actor.process, label: step.label ?? "line \(step.location.line)")
    var done = StepDone(requested: Int64(pages), pages: 0)
    do {
      let entry = grab.entry
      let flags = PinFlags(grab.flags)
      let text = PinLabel(purpose?.rawValue ?? "reference")
      let got: HeldPins
      let shortfall: PinError?
      if let purpose {
        let pinned = try machine.pin(
          process, at: address, pages: pages, flags: flags, entry: entry, of: owner, purpose: text,
          accounting: purpose.accounting)
        shortfall = pinned.shortfall
        got = HeldPins(pinned: pinned)
      } else {
        let gotten = try machine.get(
          process, at: address, pages: pages, flags: flags, entry: entry, of: owner, purpose: text)
        shortfall = gotten.shortfall
        got = HeldPins(gotten: gotten)
      }
      hold.pins.append(got)
      done.pages = Int64(got.frames.count)
      if isVerbose { done.frames = Self.describe(got.frames) }
      if let shortfall { done.shortfall.append(StepFailure(shortfall)) }
      pinLabels.append((process.id, machine.now, hold.label, grab.name))
    } catch {
      if holds[name] == nil, !hold.pins.isEmpty { keep(hold, grab.name) }
      throw StepFailure(error).after(done)
    }
    keep(hold, grab.name)
    return done
  }

  private func keep(_ hold: Hold, _ name: String?) {
    if let name {
      holds[name] = hold
    } else if !unnamed.contains(where: { $0 === hold }) {
      unnamed.append(hold)
    }
  }

  func put(_ name: String) -> StepDone {
    guard let hold = holds.removeValue(forKey: name) else { return StepDone(requested: 0, pages: 0) }
    return release(hold)
  }

  func unpin(_ unpin: Verb.Unpin) -> StepDone {
    guard let hold = holds[unpin.pin] else { return StepDone(requested: 0, pages: 0) }
    if unpin.offset == .zero, unpin.size == nil {
      holds[unpin.pin] = nil
      return release(hold, dirty: unpin.dirty)
    }
    var done = StepDone(requested: 0, pages: 0)
    let from = Int(clamping: unpin.offset.pages)
    for held in hold.pins {
      guard let count = held.pinned?.count, from < count else { continue }
      let to = unpin.size.map { min(count, from + Int(clamping: $0.pages)) } ?? count
      held.pinned?.unpin(from..<to, markDirty: unpin.dirty)
      done.add(StepDone(requested: Int64(to - from), pages: Int64(to - from)))
    }
    return done
  }

  @discardableResult
  func release(_ hold: Hold, dirty: Bool = false) -> StepDone {
    var done = StepDone(requested: 0, pages: 0)
    for held in hold.pins {
      done.add(StepDone(requested: Int64(held.frames.count), pages: Int64(held.frames.count)))
      if let pinned = held.pinned.take() { pinned.unpin(markDirty: dirty) }
      if let gotten = held.gotten.take() { gotten.put() }
    }
    hold.pins = []
    return done
  }

  /// `pfn:0x40000-0x43fff`, or how many runs there are.
  static func describe(_ frames: [FrameNumber]) -> String? {
    guard let first = frames.first else { return nil }
    var runs = 1
    for (one, next) in zip(frames, frames.dropFirst()) where next.index != one.index + 1 { runs += 1 }
    if runs > 1 { return "\(first) and on, in \(runs) runs" }
    return frames.count == 1 ? "\(first)" : "\(first)-0x\(String(first.index + frames.count - 1, radix: 16))"
  }

  func saveScope(_ name: String, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    scopes[name] = try process(of: actor).savePinScope()
    return StepDone()
  }

  func restoreScope(_ name: String, by actor: Scenario.Actor) throws(StepFailure) -> StepDone {
    try process(of: actor).restorePinScope(scopes[name] ?? [])
    return StepDone()
  }
}
