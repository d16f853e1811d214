import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// One step of an actor, in its process.
struct StepInWorker {
  let worker: Worker
  let actor: Scenario.Actor
  let regions: [String: PlacedRegion]
  /// How many allocations the kernel shall make fail in the step's system calls.
  let failures: Int?

  /// Why a step ends without having done what it was asked for.
  enum Stop: Error {
    case failed(Errno, String, WorkerReply = WorkerReply())
    case skipped(String)
  }

  func perform(_ verb: Verb) -> WorkerReply {
    do throws(Stop) {
      return try reply(to: verb)
    } catch {
      switch error {
      case .skipped(let why): return .skipped(why)
      case .failed(let errno, let cause, var reply):
        reply.outcome = .failed(errno: errno.rawValue, cause: cause)
        return reply
      }
    }
  }

  private func reply(to verb: Verb) throws(Stop) -> WorkerReply {
    switch verb {
    case .map(let map): try self.map(map)
    case .unmap(let range): try unmap(range)
    case .protect(let range, let word): try protect(range, word)
    case .advise(let range, let word): try advise(range, word)
    case .touch(let range, let access): try touch(range, access)
    case .write(let target, let pattern): try write(target, pattern)
    case .check(let target, let pattern): try check(target, pattern)
    case .remap(let range): try remap(range)
    case .lock(let range): try lock(range, locks: true)
    case .unlock(let range): try lock(range, locks: false)
    case .limit(let limit): try self.limit(limit)
    case .fork(let child): try fork(child)
    case .exit: exit()
    case .get(let grab): try get(grab)
    case .put(let name): try release(name)
    case .pin(let grab, let purpose): try pin(grab, purpose)
    case .unpin(let unpin): try self.unpin(unpin)
    case .dump(let range): try dump(range)
    case .device(let action, let range): try device(action, range)
    case .migrate(let range, let node): try migrate(range, node)
    case .drain(let target): try drain(target)
    case .compact(let node): try compact(node)
    case .split(let range): try split(range)
    case .clearRefs: try clearRefs()
    case .ksm: try ksm()
    case .fail(let fail): try self.fail(fail)
    case .allocateContiguous(let request): try allocateContiguous(request)
    case .releaseContiguous(let name): try releaseContiguous(name)
    case .offline(let offline): try self.offline(offline)
    case .online(let selection, let kind): try online(selection, kind)
    case .scopeSave, .scopeRestore: throw .skipped("no system call enters a pin scope")
    case .allocate, .free: throw .skipped("no system call allocates frames for the kernel")
    case .isolate, .putback:
      throw .skipped("no system call takes pages off their LRU lists for somebody else")
    case .signal, .add, .remove: throw .skipped("the coordinator does this")
    }
  }

  /// Runs a system call, giving its error the words of a report.
  @discardableResult
  func calling<Result: ~Copyable>(
    _ what: String, _ body: () throws(Errno) -> Result
  ) throws(Stop) -> Result {
    do throws(Errno) {
      guard let failures else { return try body() }
      return try AllocationFault(times: failures).during(body)
    } catch {
      throw .failed(error, "\(what): \(error)")
    }
  }

  func reading<Result>(_ body: () throws(HostReadError) -> Result) throws(Stop) -> Result {
    do throws(HostReadError) {
      return try body()
    } catch {
      throw .failed(error.errno, error.description)
    }
  }

  /// A step that changes the machine for everybody is for our own guest.
  func onlyInGuest(_ what: String) throws(Stop) {
    guard worker.reach == .guest else { throw .skipped("\(what) is not done to a host") }
  }

  func region(_ name: String) throws(Stop) -> PlacedRegion {
    guard let region = regions[name] else { throw .failed(.badAddress, "the region \(name) was not mapped") }
    return region
  }

  /// Where a part of a region lies.
  func part(_ range: Verb.RegionRange) throws(Stop) -> (region: PlacedRegion, address: UInt64, pages: Int) {
    let region = try region(range.region)
    guard let (address, pages) = region.part(range) else {
      throw .failed(.badAddress, "\(range.region) has \(region.pages) pages")
    }
    return (region, address, pages)
  }

  func done(_ pages: Int) -> WorkerReply {
    WorkerReply(requested: Int64(pages), pages: Int64(pages))
  }

  /// The frames of a range of this process; nil where there is none.
  func frames(_ address: UInt64, _ pages: Int) -> [UInt64?] {
    let words = try? HostProcess.current.pagemap(address..<address + UInt64(pages) << 12)
    return words?.map(\.frame) ?? []
  }
}
