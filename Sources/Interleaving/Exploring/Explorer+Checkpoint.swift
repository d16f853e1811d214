#if EXPLORER

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
    hash.combine(findsRaces ? 1 : 0)
    return hash.value
  }

  /// Where the search stands, between two executions.
  func checkpoint() -> Checkpoint {
    Checkpoint(
      version: Checkpoint.currentVersion, programHash: hash, strategy: strategy, space: space, counts: counts,
      findings: findings, occurrences: occurrences, nodes: (0..<prefix).map { nodes[$0] },
      isCut: isCut, random: random.state, longest: longest)
  }

  /// Goes on where a checkpoint stands.
  func resume(_ checkpoint: Checkpoint) throws(ExplorationError) {
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
    guard !settings.mergesEqualStates else {
      throw ExplorationError("checkpoint: states that were seen are not kept, so that merging cannot go on")
    }
    guard checkpoint.nodes.count <= stepLimit else {
      throw ExplorationError(
        "checkpoint: found \(checkpoint.nodes.count) steps, expected at most \(stepLimit)")
    }
    counts = checkpoint.counts
    findings = checkpoint.findings
    occurrences = checkpoint.occurrences
    isCut = checkpoint.isCut
    random.state = checkpoint.random
    longest = checkpoint.longest
    for (place, node) in checkpoint.nodes.enumerated() { nodes[place] = node }
    prefix = checkpoint.nodes.count
    // The order of the events is worked out anew.
    known = 0
  }
}
#endif
