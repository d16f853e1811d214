/// Frames in the words of a report.
package enum FrameRuns {
  /// `pfn:0x40000-0x43fff`, or the first and how many runs there are; nil without a frame.
  package static func describe(_ frames: some Sequence<UInt64>) -> String? {
    var runs = 0
    var first: UInt64?
    var last: UInt64 = 0
    for frame in frames {
      if first == nil || frame != last &+ 1 { runs += 1 }
      if first == nil { first = frame }
      last = frame
    }
    guard let first else { return nil }
    let start = "pfn:0x\(String(first, radix: 16))"
    if runs > 1 { return "\(start) and on, in \(runs) runs" }
    return first == last ? start : "\(start)-0x\(String(last, radix: 16))"
  }
}
