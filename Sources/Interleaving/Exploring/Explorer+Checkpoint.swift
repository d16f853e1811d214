/// Checkpoints: another run of the program continues a search.
extension Explorer {
  /// The settings that change the space of executions, besides the strategy.
  private var space: UInt64 {
    var hash = Hash64()
    hash.combine(UInt64(settings.stepLimit))
    hash.combine(UInt64(settings.choiceBudget))
    hash.combine(UInt64(settings.retryRounds))
    hash.combine(UInt64(settings.freeRetries))
    hash.combine(settings.storeBuffers ? 1 : 0)
    hash.combine(settings.mergesEqualStates ? 1 : 0)
    hash.combine(settings.mergesEqualTraces ? 1 : 0)
    hash.combine(settings.findsDataRaces ? 1 : 0)
    return hash.value
  }

  /// The state of the search between two executions.
  func checkpoint() -> Checkpoint {
    Checkpoint(
      version: Checkpoint.currentVersion, programHash: programHash, strategy: strategy, space: space,
      counts: search.counts, findings: search.findings, occurrences: search.occurrences, paths: [search.path],
      isShared: false, isCut: search.isCut, longest: search.longest)
  }

  /// Checks that a checkpoint is one of this search, and takes over what is not counted.
  func accept(_ checkpoint: Checkpoint) throws(ExplorationError) {
    guard checkpoint.version == Checkpoint.currentVersion else {
      throw ExplorationError(
        "checkpoint: found version \(checkpoint.version), expected \(Checkpoint.currentVersion)")
    }
    guard checkpoint.programHash == programHash else {
      throw ExplorationError(
        "checkpoint: found one of program \(String(checkpoint.programHash, radix: 16)), expected "
          + String(programHash, radix: 16))
    }
    guard checkpoint.strategy == strategy, checkpoint.space == space else {
      throw ExplorationError(
        "checkpoint: found one of another search, expected \(strategy) with its settings")
    }
    guard !settings.mergesEqualStates, !settings.mergesEqualTraces else {
      throw ExplorationError("checkpoint: states that were seen are not kept, so that merging cannot go on")
    }
    for path in checkpoint.paths {
      guard path.branches.count <= settings.stepLimit, path.branches.count == path.claimed.count else {
        throw ExplorationError(
          "checkpoint: found \(path.branches.count) steps, expected at most \(settings.stepLimit)")
      }
    }
    search.longest = checkpoint.longest
  }

  /// Continues from a checkpoint of a single worker.
  func resume(_ checkpoint: Checkpoint) throws(ExplorationError) {
    try accept(checkpoint)
    guard !checkpoint.isShared, checkpoint.paths.count == 1 else {
      throw ExplorationError("checkpoint: found one of several workers, expected one of a single search")
    }
    search.resumeCounts(checkpoint)
    search.take(checkpoint.paths[0].branches)
  }
}
