/// What a step came to, on any ground.
package struct StepResult: Codable, Sendable, Equatable {
  /// How it ended.
  package enum Ending: Codable, Sendable, Equatable {
    /// It did what it was asked for.
    case ok
    /// It did not.
    case failed(StepError)
    /// This ground cannot do it, or there is nothing to do it to; says why.
    case skipped(String)
  }

  /// How it ended.
  package var ending = Ending.ok
  /// Pages, or frames, asked for.
  package var requested: Int64?
  /// Pages, or frames, done.
  package var pages: Int64?
  /// Memory blocks done.
  package var blocks: Int64?
  /// Passes over the pages.
  package var passes: Int64?
  /// Rounds of a repeated step that were begun: the one that failed is among them, one that was skipped is not.
  package var rounds: Int64 = 0
  /// The frames it ended with, in words.
  package var frames: String?
  /// Text that it produced.
  package var text: String?
  /// Failures that do not undo what was done: a short pin, one block of several.
  package var shortfall: [String] = []

  /// What was done.
  @inlinable
  package init(
    requested: Int64? = nil, pages: Int64? = nil, blocks: Int64? = nil, passes: Int64? = nil,
    frames: String? = nil, text: String? = nil
  ) {
    self.requested = requested
    self.pages = pages
    self.blocks = blocks
    self.passes = passes
    self.frames = frames
    self.text = text
  }

  /// All of a number of pages.
  @inlinable
  package init(allOf pages: Int) { self.init(requested: Int64(pages), pages: Int64(pages)) }

  /// The result of a step that stopped.
  package init(_ stop: StepStop) {
    switch stop {
    case .failed(let error, let done):
      self = done
      ending = .failed(error)
    case .skipped(let why):
      self.init()
      ending = .skipped(why)
    }
  }

  /// Adds what was done besides.
  package mutating func add(_ other: StepResult) {
    func sum(_ one: Int64?, _ other: Int64?) -> Int64? {
      one == nil && other == nil ? nil : (one ?? 0) + (other ?? 0)
    }
    ending = other.ending
    requested = sum(requested, other.requested)
    pages = sum(pages, other.pages)
    blocks = sum(blocks, other.blocks)
    passes = sum(passes, other.passes)
    rounds += other.rounds
    frames = other.frames ?? frames
    if let text = other.text { self.text = (self.text.map { $0 + "\n" } ?? "") + text }
    shortfall += other.shortfall
  }

  /// Does a round a number of times, or until one does not succeed.
  @inlinable
  package static func repeating(_ times: Int, _ round: () -> StepResult) -> StepResult {
    var total = numbered(round())
    var left = times - 1
    while left > 0, total.ending == .ok {
      total.add(numbered(round()))
      left -= 1
    }
    return total
  }

  /// A round that is counted, if it was begun.
  @inlinable
  package static func numbered(_ round: StepResult) -> StepResult {
    var round = round
    if case .skipped = round.ending { round.rounds = 0 } else { round.rounds = 1 }
    return round
  }

  /// Does something to each of a number of pages; a failure tells how many were done before it.
  @inlinable
  package static func pageByPage(
    _ pages: Int, _ body: (Int) throws(StepStop) -> Void
  ) throws(StepStop) -> StepResult {
    var done = StepResult(requested: Int64(pages), pages: 0)
    for page in 0..<pages {
      do { try body(page) } catch { throw error.after(done) }
      done.pages = Int64(page + 1)
    }
    return done
  }
}

/// Why a step ends without having done what it was asked for.
package enum StepStop: Error {
  /// It failed, and had done this before.
  case failed(StepError, StepResult)
  /// This ground cannot do it, or there is nothing to do it to; says why.
  case skipped(String)

  /// A failure of a step that had done nothing.
  package static func failed(_ errno: ErrorNumber, _ stage: FailureStage, _ cause: String) -> StepStop {
    .failed(StepError(errno: errno, stage: stage, cause: cause), StepResult())
  }

  /// The same, of a step that had done this before.
  package func after(_ done: StepResult) -> StepStop {
    switch self {
    case .failed(let error, _): .failed(error, done)
    case .skipped: self
    }
  }

  /// The reason in words.
  package var cause: String {
    switch self {
    case .failed(let error, _): error.cause
    case .skipped(let why): why
    }
  }
}
