public import HoldfastScenario

extension ExploreOptions {
  /// The search that an outcome file names.
  public init(_ file: OutcomeFile) {
    self.init()
    policy = file.policy
    executions = OutcomeFile.mostExecutions
    switch file.search {
    case .exhaustive: search = .exhaustive
    case .bounded(let bound): search = .bounded(upTo: bound)
    }
  }
}
