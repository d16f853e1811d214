import Holdfast
import HoldfastScenario

/// Collects what happens during a run, for a trace viewer.
///
/// Time is the number of events so far, so that a trace of the same run is the same.
final class TraceLog: @unchecked Sendable {
  // Sendable: actors run one at a time, so the engine calls from one thread at a time.
  private(set) var events: [TraceRecord] = []
  /// Most events that are kept; then only steps are.
  private static let limit = 200_000
  private var clock: UInt64 = 0
  private var track: String?
  private var begun: [String: UInt64] = [:]
  private var pinned = 0

  func beginStep(_ actor: String) {
    clock += 1
    track = actor
    begun[actor] = clock
  }

  func endStep(_ record: StepRecord) {
    clock += 1
    var arguments = ["detail": record.detail, "result": record.status.rawValue]
    if let error = record.error { arguments["error"] = "\(error.errno.rawValue): \(error.cause)" }
    if let pages = record.pages { arguments["pages"] = "\(pages)" }
    if let migrated = record.migrated { arguments["migrated"] = "\(migrated)" }
    events.append(
      TraceRecord(
        name: record.label ?? record.verb.rawValue, category: "step", track: record.actor,
        time: begun[record.actor] ?? clock, shape: .slice(end: clock), arguments: arguments))
  }

  /// Takes an event of the engine.
  func record(_ event: TraceEvent) {
    guard events.count < Self.limit else { return }
    clock += 1
    let (name, category, arguments) = Self.describe(event)
    events.append(
      TraceRecord(
        name: name, category: category, track: track, time: clock, shape: .instant, arguments: arguments))
    switch event {
    case .pin(_, _, let pages, _): count(&pinned, by: pages, "pinned or got pages")
    case .unpin(_, let pages): count(&pinned, by: -pages, "pinned or got pages")
    default: break
    }
  }

  private func count(_ total: inout Int, by delta: Int, _ name: String) {
    total += delta
    events.append(
      TraceRecord(
        name: name, category: "counter", track: nil, time: clock, shape: .counter(["pages": Int64(total)])))
  }

  private static func describe(
    _ event: TraceEvent
  ) -> (name: String, category: String, arguments: [String: String]) {
    switch event {
    case .fault(_, let address, let write, let frame):
      (
        "fault", "fault",
        [
          "address": "\(address)", "access": write ? "write" : "read",
          "frame": frame.map { "\($0)" } ?? "none",
        ]
      )
    case .pin(_, let address, let pages, let flags):
      (
        flags.contains(.pin) ? "pin" : "get", "pin",
        ["address": "\(address)", "pages": "\(pages)", "flags": "0x" + String(flags.rawValue, radix: 16)]
      )
    case .unpin(_, let pages): ("unpin", "unpin", ["pages": "\(pages)"])
    case .isolate(let frame, let succeeded):
      ("isolate", "isolate", ["frame": "\(frame)", "result": succeeded ? "ok" : "busy"])
    case .migrate(let from, let to, let pages, let reason):
      (
        "migrate", "migrate",
        [
          "from": "\(from)", "to": to.map { "\($0)" } ?? "stays", "pages": "\(pages)", "reason": "\(reason)",
        ]
      )
    case .offlinePass(let block, let pass, let unmoved):
      ("offline pass", "offline", ["block": "\(block)", "pass": "\(pass)", "unmoved": "\(unmoved)"])
    case .block(let block, let state): ("\(block) \(state)", "offline", [:])
    case .drain(let all): ("drain", "drain", ["processors": all ? "all" : "this"])
    case .cma(let area, let start, let count, let succeeded):
      (
        "cma", "cma",
        ["area": area, "window": "\(start) +\(count)", "result": succeeded ? "ok" : "busy"]
      )
    }
  }
}
