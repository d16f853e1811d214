import CLinux
import Glibc
import HoldfastScenario
import Synchronization
import SystemPackage

/// One step of an actor, in its process: the operations of a real kernel.
///
/// Owned by one thread.
final class StepInWorker {
  let worker: Worker
  let actor: Scenario.Actor
  private var regions: [String: PlacedRegion]
  /// What the rounds so far have changed.
  private(set) var changes = StepChanges()
  /// How many allocations the kernel shall make fail in the round's system calls.
  private var failures: Int?

  init(worker: Worker, actor: Scenario.Actor, regions: [String: PlacedRegion]) {
    self.worker = worker
    self.actor = actor
    self.regions = regions
  }

  /// Notes where a region is now.
  func place(_ region: PlacedRegion, as name: String) {
    regions[name] = region
    changes.mapped[name] = region
  }

  /// Notes that a region is gone.
  func forget(_ name: String) { changes.unmapped = name }

  /// Notes what a process has forked.
  func note(child: Int32) { changes.child = child }

  /// Notes which frames pins or references got, and under which name they are held, if they are.
  func note(_ frames: [UInt64?], heldAs name: String? = nil) {
    changes.frames = (changes.frames ?? []) + frames
    changes.hold = name ?? changes.hold
  }

  /// Notes that nothing is held under a name any more.
  func note(released name: String) { changes.released = name }

  /// Runs a system call, giving its error the words of a report.
  @discardableResult
  func calling<Result: ~Copyable>(
    _ what: String, _ body: () throws(Errno) -> Result
  ) throws(StepStop) -> Result {
    do throws(Errno) {
      guard let failures else { return try body() }
      return try AllocationFault(times: failures).during(body)
    } catch {
      throw .failed(error, "\(what): \(error)")
    }
  }

  func reading<Result>(_ body: () throws(HostReadError) -> Result) throws(StepStop) -> Result {
    do throws(HostReadError) {
      return try body()
    } catch {
      throw .failed(error.errno, error.description)
    }
  }

  /// A step that changes the whole machine runs in our own guest only.
  func onlyInGuest(_ what: String) throws(StepStop) {
    guard worker.reach == .guest else { throw .skipped("\(what) is not done to a host") }
  }

  /// The frames of a range of this process; nil where there is none.
  func frames(_ address: UInt64, _ pages: Int) -> [UInt64?] {
    let words = try? HostProcess.current.pagemap(address..<address + UInt64(pages) << 12)
    return words?.map(\.frame) ?? []
  }
}

/// What the interpreter asks for by name; the verbs are in `StepInWorker+Memory.swift` and its neighbours.
extension StepInWorker: StepOperations {
  typealias Region = PlacedRegion
  typealias Holding = [HeldPin]

  func beginRound() {
    // Asked for by the step before: in force once, whatever is repeated.
    failures = worker.held.withLock { $0.failures.removeValue(forKey: actor.name) }
  }

  func region(_ name: String) -> PlacedRegion? { regions[name] }

  func pageCount(of region: PlacedRegion) -> Int { region.pages }

  func holding(_ name: String) -> [HeldPin]? { worker.held.withLock { $0.pins[name] } }

  func pageCount(of holding: [HeldPin]) -> Int { holding.reduce(0) { $0 + $1.pages } }
}

extension RegionPart<PlacedRegion> {
  /// Where the part begins.
  var address: UInt64 { region.address + UInt64(first) << 12 }
  /// How long it is.
  var byteCount: Int { pages << 12 }
}

extension StepStop {
  /// What a system call said, which does not tell its stage.
  static func failed(_ errno: Errno, _ cause: String, _ done: StepResult = StepResult()) -> StepStop {
    let known = ErrorNumber(number: errno.rawValue)
    return .failed(
      StepError(
        errno: known ?? .EIO, stage: .untold,
        cause: known == nil ? "\(cause) (errno \(errno.rawValue))" : cause),
      done)
  }
}
