import Holdfast
import HoldfastScenario
import SystemPackage

extension StepStop {
  /// The failure of a step that uses something that `EngineLimits` lists.
  static func lacking(_ what: String) -> StepStop {
    .failed(.EOPNOTSUPP, .argument, "the engine does not model \(what)")
  }
}

/// The engine's errors as a report shows them.
extension Stage {
  /// A failure with a page and pins that are in the way.
  func stop(
    _ errno: ErrorNumber, _ stage: FailureStage, _ cause: String, page: FrameNumber? = nil,
    holders: [PinHolder] = []
  ) -> StepStop {
    .failed(
      StepError(
        errno: errno, stage: stage, cause: cause, page: page?.description, holders: holders.map(describe)),
      StepResult())
  }

  private func describe(_ holder: PinHolder) -> StepError.Holder {
    let taken = machine.now &- holder.age
    let label =
      pinLabels.last { $0.owner == holder.owner && $0.tick <= taken }
      ?? pinLabels.first { $0.owner == holder.owner }
    return StepError.Holder(
      owner: actorName(of: holder), purpose: holder.purpose, pin: label?.pin,
      pages: Int64(holder.pagesInRange),
      firstPage: "\(holder.address)", longterm: holder.isLongterm, since: label?.label ?? "before")
  }

  func stop(_ error: PinError) -> StepStop {
    let stage: FailureStage =
      switch error.stage {
      case .arguments: .argument
      case .account: .account
      case .area: .address
      case .fault: error.errno == .noMemory ? .allocate : .fault
      case .grab: .count
      case .isolate: .isolate
      case .migrate: self.stage(of: error.cause)
      case .signal: .signal
      case .ledger: .allocate
      }
    return stop(
      ErrorNumber(error.errno), stage, error.description, page: error.frame, holders: error.holders)
  }

  private func stage(of cause: PinError.Cause) -> FailureStage {
    switch cause {
    case .noTarget: .allocate
    case .notMigrated(let failures): failures.first.map { FailureStage($0.stage) } ?? .references
    default: .references
    }
  }

  func stop(_ error: AddressSpaceError) -> StepStop {
    let stage: FailureStage =
      switch error.cause {
      case .memlockLimit: .account
      case .noMemory, .tableFull, .noHugePages, .injected: .allocate
      case .hole, .accessDenied, .busError, .unsuitableArea: .address
      default: .argument
      }
    return stop(ErrorNumber(error.errno), stage, error.description)
  }

  func stop(_ error: AllocationError) -> StepStop {
    stop(ErrorNumber(error.errno), .allocate, error.description)
  }

  func stop(_ error: CMAError) -> StepStop {
    stop(
      ErrorNumber(error.errno), error.errno == .noMemory ? .allocate : .references, "\(error)",
      page: error.windows.last?.frames.first?.frame, holders: error.windows.flatMap(\.holders))
  }

  func stop(_ error: OfflineError) -> StepStop {
    let stage: FailureStage =
      switch error.cause {
      case .wrongState, .noSuchBlock, .holes, .severalZones, .noBytes: .argument
      case .isolation, .takenAway, .hugePageKept: .unmovable
      case .vetoed: .argument
      case .interrupted, .passesUsedUp: .signal
      }
    // The scenario's bound on passes stands for the signal that ends the kernel's endless loop.
    let errno: ErrorNumber = if case .passesUsedUp = error.cause { .EINTR } else { ErrorNumber(error.errno) }
    return stop(errno, stage, error.description, page: error.frames.first?.frame, holders: error.holders)
  }
}

extension FailureStage {
  init(_ stage: MigrationStage) {
    self =
      switch stage {
      case .allocate: .allocate
      case .lock, .writeback: .lock
      case .unmap: .unmap
      case .references: .references
      case .copy: .copy
      }
  }
}

extension ErrorNumber {
  init(_ errno: Errno) { self = ErrorNumber(number: errno.rawValue) ?? .EIO }
}
