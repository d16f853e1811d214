/// Going on with a search in another run of the program.
extension Explorer {
  /// What changes the space of executions, besides the strategy.
  private var space: UInt64 {
    var hash = Hash64()
    hash.combine(UInt64(stepLimit))
    hash.combine(UInt64(settings.choiceBudget))
    hash.combine(UInt64(settings.retryRounds))
    hash.combine(UInt64(settings.freeRetries))
    hash.combine(buffers ? 1 : 0)
    hash.combine(settings.mergesEqualStates ? 1 : 0)
    hash.combine(settings.mergesEqualTraces ? 1 : 0)
    hash.combine(findsRaces ? 1 : 0)
    return hash.value
  }

  /// Where the search stands, between two executions.
  func checkpoint() -> Checkpoint {
    Checkpoint(
      version: Checkpoint.currentVersion, programHash: hash, strategy: strategy, space: space, counts: counts,
      findings: findings, occurrences: occurrences,
      paths: [
        Checkpoint.Path(
          nodes: (0..<prefix).map { nodes[$0] },
          claimed: (0..<prefix).map { UInt16(truncatingIfNeeded: nodes[$0].claimed) })
      ],
      isShared: false, isCut: isCut, longest: longest)
  }

  /// Sees whether a checkpoint is one of this search.
  func accept(_ checkpoint: Checkpoint) throws(ExplorationError) {
    guard checkpoint.version == Checkpoint.currentVersion else {
      throw ExplorationError(
        "checkpoint: found version \(checkpoint.version), expected \(Checkpoint.currentVersion)")
    }
    guard checkpoint.programHash == hash else {
      throw ExplorationError(
        "checkpoint: found one of program \(String(checkpoint.programHash, radix: 16)), expected "
          + String(hash, radix: 16))
    }
    guard checkpoint.strategy == strategy, checkpoint.space == space else {
      throw ExplorationError(
        "checkpoint: found one of another search, expected \(strategy) with its settings")
    }
    guard !settings.mergesEqualStates, !settings.mergesEqualTraces else {
      throw ExplorationError("checkpoint: states that were seen are not kept, so that merging cannot go on")
    }
    for path in checkpoint.paths {
      guard path.nodes.count <= stepLimit, path.nodes.count == path.claimed.count else {
        throw ExplorationError(
          "checkpoint: found \(path.nodes.count) steps, expected at most \(stepLimit)")
      }
    }
    longest = checkpoint.longest
  }

  /// Goes on where a checkpoint stands.
  func resume(_ checkpoint: Checkpoint) throws(ExplorationError) {
    try accept(checkpoint)
    guard !checkpoint.isShared, checkpoint.paths.count == 1 else {
      throw ExplorationError("checkpoint: found one of several workers, expected one of a single search")
    }
    resumeCounts(checkpoint)
    for (place, node) in checkpoint.paths[0].nodes.enumerated() { nodes[place] = node }
    prefix = checkpoint.paths[0].nodes.count
    // The order of the events is worked out anew.
    forget(from: 0)
  }

  /// Goes on with what was counted and found.
  func resumeCounts(_ checkpoint: Checkpoint) {
    counts = checkpoint.counts
    findings = checkpoint.findings
    occurrences = checkpoint.occurrences
    isCut = checkpoint.isCut
  }

  /// What is known of the events from a place on is no longer true.
  func forget(from place: Int) {
    known = place
    summed = min(summed, place)
  }
}
