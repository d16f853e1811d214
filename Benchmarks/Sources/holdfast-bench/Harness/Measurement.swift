import CTwin

/// The samples of one side, in nanoseconds per unit.
struct Samples: Codable {
  var name: String
  var clock: Side.Clock
  var threads: Int
  var values: [Double]

  var median: Double { quantile(values, 0.5) }
  /// The fastest decile: what the side takes in the best of the mappings that it got.
  var fast: Double { quantile(values, 0.1) }
  /// Half the distance between the quartiles, as a share of the median.
  var spread: Double {
    median > 0 ? (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / median : 0
  }
}

/// What was found about one bar.
struct Finding {
  var bar: Row.Bar
  var value: Double?
  var other: Double?
  /// Ratio of the fastest deciles: each side at its best, since which mapping it gets is luck and not merit.
  var ratio: Double?
  var within: Bool?
}

/// A measured row.
struct Outcome {
  var row: Row
  var samples: [Samples]
  /// Sides that could not run here, with the reason.
  var missing: [(name: String, reason: String)]

  var findings: [Finding] {
    let own = samples.first { $0.name == row.subject }
    return row.bars.map { bar in
      let other = bar.other.flatMap { name in samples.first { $0.name == name } }
      var finding = Finding(
        bar: bar, value: own?.median, other: other?.median, ratio: nil, within: nil)
      if let own, let other {
        finding.ratio = own.fast / other.fast
      }
      if let own {
        finding.within = bar.holds(value: own.median, other: other?.median, ratio: finding.ratio)
      }
      return finding
    }
  }
}

func quantile(_ values: [Double], _ share: Double) -> Double {
  let sorted = values.sorted()
  guard let last = sorted.last else { return 0 }
  let position = share * Double(sorted.count - 1)
  let below = Int(position)
  guard below + 1 < sorted.count else { return last }
  return sorted[below] + (sorted[below + 1] - sorted[below]) * (position - Double(below))
}

/// Measures rows: all sides of a row in turn, A B A B, so that they meet the same weather.
struct Meter {
  /// Samples of each side.
  var repetitions: Int
  /// How often the sides are made anew on the way: mapping their memory anew moves some by half.
  private var makings: Int { max(1, repetitions / 2) }
  /// Time that a sample should take; a fixed round count overrides it.
  private let sampleNanoseconds = 4_000_000.0

  init(repetitions: Int) {
    self.repetitions = repetitions
  }

  func measure(_ row: Row) throws -> Outcome {
    var samples: [String: Samples] = [:]
    var missing: [(name: String, reason: String)] = []
    for making in 0..<makings {
      var sides: [(name: String, side: Side, rounds: Int)] = []
      for contender in row.contenders where !missing.contains(where: { $0.name == contender.name }) {
        do {
          let side = try contender.make()
          guard side.threads <= Int(twin_cpu_count()) else {
            throw Unavailable("needs \(side.threads) CPUs, this process may use \(twin_cpu_count())")
          }
          sides.append((contender.name, side, try rounds(for: side)))
        } catch let unavailable as Unavailable {
          missing.append((contender.name, unavailable.description))
        }
      }
      for repetition in repetitions * making / makings..<repetitions * (making + 1) / makings {
        for (name, side, rounds) in repetition.isMultiple(of: 2) ? sides : sides.reversed() {
          let value = try sample(side, rounds: rounds)
          let empty = Samples(name: name, clock: side.clock, threads: side.threads, values: [])
          samples[name, default: empty].values.append(value)
        }
      }
    }
    return Outcome(row: row, samples: row.contenders.compactMap { samples[$0.name] }, missing: missing)
  }

  /// The number of rounds that fills a sample, found by doubling, which also warms the side up.
  private func rounds(for side: Side) throws -> Int {
    if let fixed = side.fixedRounds { return fixed }
    var rounds = 1
    while true {
      let total = try sample(side, rounds: rounds) * Double(side.unitsPerRound * rounds)
      if total >= sampleNanoseconds / 2 || rounds >= 1 << 24 {
        return max(1, Int(Double(rounds) * sampleNanoseconds / max(total, 1)))
      }
      rounds *= 2
    }
  }

  /// Nanoseconds per unit of one sample: the mean over the threads.
  private func sample(_ side: Side, rounds: Int) throws -> Double {
    try side.prepare()
    let times = try onThreads(side.threads) { thread in
      let start = side.clock == .cpu ? twin_thread_ns() : twin_wall_ns()
      try side.work(thread, rounds)
      return (side.clock == .cpu ? twin_thread_ns() : twin_wall_ns()) - start
    }
    return Double(times.reduce(0, +)) / Double(side.threads * side.unitsPerRound * rounds)
  }
}
