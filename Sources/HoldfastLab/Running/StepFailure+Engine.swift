import Holdfast
import HoldfastScenario
import SystemPackage

/// The engine's errors in the words of a report.
extension StepFailure {
  init(_ error: PinError) {
    let stage: FailureStage =
      switch error.stage {
      case .arguments: .argument
      case .account: .account
      case .area: .address
      case .fault: error.errno == .noMemory ? .allocate : .fault
      case .grab: .count
      case .isolate: .isolate
      case .migrate: Self.stage(of: error.cause)
      case .signal: .signal
      case .ledger: .allocate
      }
    self.init(
      ErrorNumber(error.errno), stage, error.description, page: error.frame, holders: error.holders)
  }

  private static func stage(of cause: PinError.Cause) -> FailureStage {
    switch cause {
    case .noTarget: .allocate
    case .notMigrated(let failures): failures.first.map { FailureStage($0.stage) } ?? .references
    default: .references
    }
  }

  init(_ error: AddressSpaceError) {
    let stage: FailureStage =
      switch error.cause {
      case .memlockLimit: .account
      case .noMemory, .tableFull, .noHugePages, .injected: .allocate
      case .hole, .accessDenied, .busError, .unsuitableArea: .address
      default: .argument
      }
    self.init(ErrorNumber(error.errno), stage, error.description)
  }

  init(_ error: AllocationError) {
    self.init(ErrorNumber(error.errno), .allocate, error.description)
  }

  init(_ error: OfflineError) {
    let stage: FailureStage =
      switch error.cause {
      case .wrongState, .noSuchBlock, .holes, .severalZones, .noBytes: .argument
      case .isolation, .takenAway, .hugePageKept: .unmovable
      case .vetoed: .argument
      case .interrupted, .passesUsedUp: .signal
      }
    // The scenario's bound on passes stands for the signal that ends the kernel's endless loop.
    let errno: ErrorNumber = if case .passesUsedUp = error.cause { .EINTR } else { ErrorNumber(error.errno) }
    self.init(errno, stage, error.description, page: error.frames.first?.frame, holders: error.holders)
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
