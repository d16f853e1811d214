/// A named way to make a side; made when its row is measured and dropped after.
struct Contender: Sendable {
  /// As the table shows it: `Holdfast`, `C twin`, `io_uring`.
  var name: String
  /// Throws `Unavailable` where the side cannot run.
  var make: @Sendable () throws -> Side

  init(_ name: String, _ make: @escaping @Sendable () throws -> Side) {
    self.name = name
    self.make = make
  }
}

/// Something that can do a given number of rounds of a row's work.
///
/// What it works on is set up when the side is made and torn down when the side goes away.
struct Side: Sendable {
  /// Which clock a sample is read from.
  enum Clock: String, Codable {
    /// CPU time of the threads that work; does not count time lost to other jobs.
    case cpu
    /// Elapsed time, where the host does part of the work on our behalf.
    case wall
  }

  /// Units (pages, pairs, blocks) that one thread gets through in one round.
  var unitsPerRound: Int
  /// Threads that work at the same time, each on a CPU of its own.
  var threads = 1
  var clock = Clock.cpu
  /// Rounds in a sample, when a round uses up what `prepare` made; otherwise as many as fill a sample.
  var fixedRounds: Int?
  /// Run before every sample and not measured.
  var prepare: @Sendable () throws -> Void = {}
  /// The measured work of thread `thread`.
  var work: @Sendable (_ thread: Int, _ rounds: Int) throws -> Void
}

/// This host or this process cannot run a side; says why.
struct Unavailable: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) {
    self.description = description
  }
}

/// A side did less than it said, so its time means nothing.
struct WorkFailed: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) {
    self.description = description
  }
}
