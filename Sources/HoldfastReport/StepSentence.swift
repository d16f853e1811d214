import HoldfastScenario

/// What came of a step, in plain words.
struct StepSentence {
  let step: StepRecord

  /// The result, first the most important.
  var result: String {
    switch step.status {
    case .ok:
      let parts = work
      return parts.isEmpty ? "ok" : "ok: " + parts.joined(separator: ", ")
    case .failed:
      guard let error = step.error else { return "failed" }
      return "\(error.errno.rawValue) (\(error.errno.number)) while \(error.stage.phrase): \(error.cause)"
    case .skipped:
      return "skipped: \(step.skipped ?? "not done")"
    }
  }

  /// What a failed step had done before, whose pins prevent it, and the text that it left.
  var details: [String] {
    var lines: [String] = []
    if step.status == .failed, !work.isEmpty { lines.append("until then: " + work.joined(separator: ", ")) }
    if let error = step.error {
      if let page = error.page { lines.append("in the way: \(page)") }
      for holder in error.holders {
        let pin = holder.pin.map { " by pin \($0)" } ?? ""
        lines.append(
          "\(holder.owner) holds \(Amounts.pages(holder.pages)) from \(holder.firstPage)\(pin), "
            + "\(holder.longterm ? "long-term, " : "")for \(holder.purpose), since \(holder.since)")
      }
    }
    if let text = step.text {
      lines += text.split(separator: "\n").map(String.init)
    }
    return lines
  }

  private var work: [String] {
    var parts: [String] = []
    if let repeats = step.repeats, repeats != 1 { parts.append("done \(Amounts.count(repeats, "time"))") }
    if let pages = step.pages, pages > 0 || step.requested ?? 0 > 0 {
      let short = step.requested.map { $0 > pages ? " of \($0)" : "" } ?? ""
      parts.append(short.isEmpty ? Amounts.pages(pages) : "\(pages)\(short) pages")
    }
    if let frames = step.frames { parts.append("now at \(frames)") }
    if let blocks = step.blocks { parts.append(Amounts.count(blocks, "block")) }
    func add(_ value: Int64?, _ phrase: (Int64) -> String) {
      if let value, value > 0 { parts.append(phrase(value)) }
    }
    add(step.migrated) { "\($0) moved to other frames" }
    add(step.bytes) { "\(Amounts.bytes($0)) copied" }
    add(step.failures) { Amounts.count($0, "failed move") }
    if let passes = step.passes, passes > 1 { parts.append("\(passes) passes") }
    add(step.drains) { Amounts.count($0, "drain") }
    add(step.retries) { "restarted \(Amounts.count($0, "time"))" }
    return parts
  }
}

extension FailureStage {
  /// What was being done, after "while".
  fileprivate var phrase: String {
    switch self {
    case .argument: "checking the arguments"
    case .address: "looking up the address"
    case .fault: "bringing a page in"
    case .isolate: "isolating a page"
    case .lock: "locking a page"
    case .allocate: "finding memory"
    case .unmap: "unmapping a page"
    case .references: "accounting for a page's references"
    case .copy: "copying a page"
    case .remap: "mapping a page"
    case .account: "charging locked memory"
    case .count: "counting a reference"
    case .unmovable: "looking for memory that cannot move"
    case .signal: "waiting"
    case .untold: "being in the kernel"
    }
  }
}
