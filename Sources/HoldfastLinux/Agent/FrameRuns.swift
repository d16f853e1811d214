/// Frames in the words of a report.
enum FrameRuns {
  /// `pfn:0x40000-0x43fff`, or the first and how many runs there are; nil without a frame.
  static func describe(_ frames: [UInt64?]) -> String? {
    let known = frames.compactMap(\.self)
    guard let first = known.first, let last = known.last else { return nil }
    var runs = 1
    for (one, next) in zip(known, known.dropFirst()) where next != one + 1 { runs += 1 }
    let start = "pfn:0x\(String(first, radix: 16))"
    if runs > 1 { return "\(start) and on, in \(runs) runs" }
    return known.count == 1 ? start : "\(start)-0x\(String(last, radix: 16))"
  }
}
