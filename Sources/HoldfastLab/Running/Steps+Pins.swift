import Holdfast
import HoldfastScenario

/// The verbs of references and pins.
extension Stage {
  func grab(
    _ grab: Verb.Grab, of part: Part, for purpose: PinPurpose?, in step: Step, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult {
    let process = try process(of: actor)
    let owner = try self.process(of: actor, reaching: part)
    let (address, pages) = (address(of: part), part.pages)
    let name = grab.name ?? ""
    let hold =
      holds[name]
      ?? Hold(
        process: actor.process, label: step.label ?? "line \(step.location.line)")
    var done = StepResult(requested: Int64(pages), pages: 0)
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
        got = HeldPins(pinned: pinned, of: part.region.process, at: address)
      } else {
        let gotten = try machine.get(
          process, at: address, pages: pages, flags: flags, entry: entry, of: owner, purpose: text)
        shortfall = gotten.shortfall
        got = HeldPins(gotten: gotten, of: part.region.process, at: address)
      }
      hold.pins.append(got)
      done.pages = Int64(got.frames.count)
      if isVerbose { done.frames = FrameRuns.describe(got.frames) }
      if let shortfall { done.shortfall.append(shortfall.description) }
      pinLabels.append((process.id, machine.now, hold.label, grab.name))
    } catch {
      if holds[name] == nil, !hold.pins.isEmpty { keep(hold, grab.name) }
      throw stop(error).after(done)
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

  func release(_ hold: Hold, named name: String, dirty: Bool) throws(StepStop) -> StepResult {
    if let mapping = hold.mapping {
      guard isThere(mapping) else { throw .skipped("\(name) was unmapped") }
      let done = try unmap(mapping, 0..<mapping.pages)
      holds[name] = nil
      return done
    }
    holds[name] = nil
    return release(hold, dirty: dirty)
  }

  func unpin(_ unpin: Verb.Unpin, of hold: Hold) throws(StepStop) -> StepResult {
    var done = StepResult(requested: 0, pages: 0)
    let from = Int(clamping: unpin.offset.pages)
    if let mapping = hold.mapping {
      let to = unpin.size.map { from + Int(clamping: $0.pages) } ?? mapping.pages
      return try unmap(mapping, min(from, to)..<to)
    }
    for held in hold.pins {
      guard let count = held.pinned?.count, from < count else { continue }
      let to = unpin.size.map { min(count, from + Int(clamping: $0.pages)) } ?? count
      held.pinned?.unpin(from..<to, markDirty: unpin.dirty)
      done.add(StepResult(allOf: to - from))
    }
    return done
  }

  func write(_ pages: Range<Int>, of hold: Hold, _ pattern: Pattern) throws(StepStop) -> StepResult {
    if let mapping = hold.mapping {
      return try transfer(pages, of: mapping, write: true) { page, frame in
        store(pattern, page: page, in: frame)
      }
    }
    let frames = hold.pins.flatMap(\.frames)
    return try StepResult.pageByPage(pages.count) { page throws(StepStop) in
      store(pattern, page: pages.lowerBound + page, in: frames[pages.lowerBound + page])
    }
  }

  func check(_ pages: Range<Int>, of hold: Hold, _ pattern: Pattern) throws(StepStop) -> StepResult {
    if let mapping = hold.mapping {
      return try transfer(pages, of: mapping, write: false) { page, frame throws(StepStop) in
        try compare(pattern, page: page, in: frame)
      }
    }
    let frames = hold.pins.flatMap(\.frames)
    return try StepResult.pageByPage(pages.count) { page throws(StepStop) in
      try compare(pattern, page: pages.lowerBound + page, in: frames[pages.lowerBound + page])
    }
  }

  @discardableResult
  func release(_ hold: Hold, dirty: Bool = false) -> StepResult {
    var done = StepResult(requested: 0, pages: 0)
    for held in hold.pins {
      done.add(StepResult(allOf: held.frames.count))
      if let pinned = held.pinned.take() { pinned.unpin(markDirty: dirty) }
      if let gotten = held.gotten.take() { gotten.put() }
    }
    hold.pins = []
    return done
  }

  func dump(_ part: Part) throws(StepStop) -> StepResult {
    let owner = try owner(of: part)
    var lines: [String] = []
    for index in 0..<part.pages {
      let address = address(of: part)
      let word = machine.pagemapWord(owner, address + UInt64(index * pageSize))
      guard word >> 63 == 1 else { continue }
      lines.append("---- page #\(index), starting from user virt addr: \(address)")
      lines += machine.dump(
        FrameNumber(rawValue: UInt32(truncatingIfNeeded: word)), reason: "gup_test: dump_pages() test")
    }
    var done = StepResult(allOf: part.pages)
    done.text = lines.joined(separator: "\n")
    return done
  }

  func saveScope(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    scopes[name] = try process(of: actor).savePinScope()
    return StepResult()
  }

  func restoreScope(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    try process(of: actor).restorePinScope(scopes[name] ?? [])
    return StepResult()
  }
}

extension FrameRuns {
  /// Frames of the engine as a report shows them.
  static func describe(_ frames: [FrameNumber]) -> String? {
    describe(frames.lazy.map { UInt64($0.rawValue) })
  }
}
