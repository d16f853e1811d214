/// What a ground can do: the engine has operations of its own, a real kernel system calls.
///
/// Verbs, their arguments and their repetition are the interpreter's, see `perform`; a ground does what it is told
/// to the parts of regions and the pins that the interpreter has found. There are no defaults: a new verb is
/// answered by every ground, if only by saying that it cannot.
package protocol StepOperations {
  /// A mapping that the scenario has named.
  associatedtype Region
  /// Pins or references that the scenario has named.
  associatedtype Holding

  /// A part of a region.
  typealias Part = RegionPart<Region>

  /// A round of a step begins.
  func beginRound()

  // MARK: Names

  /// The region of that name; nil if there is none.
  func region(_ name: String) -> Region?
  /// How large it is.
  func pageCount(of region: Region) -> Int
  /// What is held under a name; nil if it was not taken, or was given back.
  func holding(_ name: String) -> Holding?
  /// How many pages that are.
  func pageCount(of holding: Holding) -> Int

  // MARK: Address spaces

  func map(_ map: Verb.Map, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func unmap(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func protect(_ part: Part, _ to: Protection, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func advise(_ part: Part, _ advice: Advice, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func touch(_ part: Part, _ access: AccessWord, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func write(_ part: Part, _ pattern: Pattern, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func check(_ part: Part, _ pattern: Pattern, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func remap(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func lock(_ part: Part, locks: Bool, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func split(_ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func clearReferences(by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func limit(_ limit: MemlockLimit, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func fork(_ child: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func exit(_ actor: Scenario.Actor) throws(StepStop) -> StepResult

  // MARK: Pins

  /// Takes references; pins them if there is a purpose.
  func grab(
    _ grab: Verb.Grab, of part: Part, for purpose: PinPurpose?, in step: Step, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult
  /// Gives everything back that is held under a name.
  func release(_ holding: Holding, named name: String, dirty: Bool) throws(StepStop) -> StepResult
  /// Gives a part of each pin back that is held under a name.
  func unpin(_ unpin: Verb.Unpin, of holding: Holding) throws(StepStop) -> StepResult
  /// Lets the device that holds the pages write them.
  func write(_ pages: Range<Int>, of holding: Holding, _ pattern: Pattern) throws(StepStop) -> StepResult
  /// Lets the device that holds the pages read them.
  func check(_ pages: Range<Int>, of holding: Holding, _ pattern: Pattern) throws(StepStop) -> StepResult
  func device(_ action: DeviceAction, _ part: Part, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func dump(_ part: Part) throws(StepStop) -> StepResult
  func saveScope(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func restoreScope(_ name: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult

  // MARK: Devices in containers

  func openContainer(
    _ name: String, _ kind: ContainerWord, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult
  func attach(_ attach: Verb.Attach, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func detach(_ device: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  /// Pins memory and lets the devices of a container reach it.
  func map(
    _ map: Verb.DMAMap, of part: Part, in step: Step, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult
  /// Maps what is mapped in one container in another one.
  func copy(_ copy: Verb.DMACopy, in step: Step, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  /// Unmaps a range of the devices' addresses, or all.
  func unmap(
    _ range: Verb.DeviceRange?, of container: String, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult
  /// Lets a device write at its own addresses.
  func write(_ range: Verb.DeviceRange, by device: String, _ pattern: Pattern) throws(StepStop) -> StepResult
  /// Lets a device read at its own addresses.
  func check(_ range: Verb.DeviceRange, by device: String, _ pattern: Pattern) throws(StepStop) -> StepResult

  // MARK: The kernel's own memory

  func allocate(_ request: Verb.Allocate, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func free(_ frames: String, every: Int, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func allocate(_ request: Verb.AllocateContiguous, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func releaseContiguous(_ frames: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func isolate(_ part: Part, as name: String?, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func putBack(_ isolation: String, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func drain(_ target: DrainTarget, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func compact(node: Int?, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func migrate(_ part: Part, to node: Int, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func mergePages() throws(StepStop) -> StepResult
  func fail(_ fail: Verb.Fail, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func signal(_ actor: String, _ word: SignalWord) throws(StepStop) -> StepResult

  // MARK: Memory blocks

  func offline(_ offline: Verb.Offline, by actor: Scenario.Actor) throws(StepStop) -> StepResult
  func online(
    _ blocks: Verb.BlockSelection, _ kind: OnlineKind, by actor: Scenario.Actor
  ) throws(StepStop) -> StepResult
  func add(blocks: Int, node: Int) throws(StepStop) -> StepResult
  func remove(_ blocks: Verb.BlockSelection) throws(StepStop) -> StepResult
}

/// The one interpreter of steps: which operation a verb stands for, what its arguments mean, how often it is done.
extension StepOperations {
  /// Does a step as often as it says; it ends with the first round that does not end well.
  @inlinable
  package func perform(_ step: Step, by actor: Scenario.Actor) -> StepResult {
    StepResult.repeating(step.repeats) {
      beginRound()
      do throws(StepStop) { return try round(step, by: actor) } catch { return StepResult(error) }
    }
  }

  /// Does a step once.
  @inlinable
  package func round(_ step: Step, by actor: Scenario.Actor) throws(StepStop) -> StepResult {
    switch step.verb {
    case .map(let map): try self.map(map, by: actor)
    case .unmap(let range): try unmap(part(range), by: actor)
    case .protect(let range, let word): try protect(part(range), word.protection, by: actor)
    case .advise(let range, let advice): try advise(part(range), advice, by: actor)
    case .touch(let range, let access): try touch(part(range), access, by: actor)
    case .write(.region(let range), let pattern): try write(part(range), pattern, by: actor)
    case .write(.pin(let held), let pattern), .write(.references(let held), let pattern):
      try write(pages(of: held), of: holding(held: held.name), pattern)
    case .write(.device(let name, let range), let pattern): try write(range, by: name, pattern)
    case .check(.device(let name, let range), let pattern): try check(range, by: name, pattern)
    case .check(.region(let range), let pattern): try check(part(range), pattern, by: actor)
    case .check(.pin(let held), let pattern), .check(.references(let held), let pattern):
      try check(pages(of: held), of: holding(held: held.name), pattern)
    case .get(let grab): try self.grab(grab, of: part(grab.range), for: nil, in: step, by: actor)
    case .put(let name): try release(holding(held: name), named: name, dirty: false)
    case .pin(let grab, let purpose):
      try self.grab(grab, of: part(grab.range), for: purpose, in: step, by: actor)
    case .unpin(let unpin):
      unpin.offset == .zero && unpin.size == nil
        ? try release(holding(held: unpin.pin), named: unpin.pin, dirty: unpin.dirty)
        : try self.unpin(unpin, of: holding(held: unpin.pin))
    case .scopeSave(let name): try saveScope(name, by: actor)
    case .scopeRestore(let name): try restoreScope(name, by: actor)
    case .allocate(let request): try allocate(request, by: actor)
    case .free(let frames, let every): try free(frames, every: every, by: actor)
    case .allocateContiguous(let request): try allocate(request, by: actor)
    case .releaseContiguous(let frames): try releaseContiguous(frames, by: actor)
    case .isolate(let name, let range): try isolate(part(range), as: name, by: actor)
    case .putback(let isolation): try putBack(isolation, by: actor)
    case .drain(let target): try drain(target, by: actor)
    case .compact(let node): try compact(node: node, by: actor)
    case .migrate(let range, let node): try migrate(part(range), to: node, by: actor)
    case .offline(let offline): try self.offline(offline, by: actor)
    case .online(let blocks, let kind): try online(blocks, kind, by: actor)
    case .add(let blocks, let node): try add(blocks: blocks, node: node)
    case .remove(let blocks): try remove(blocks)
    case .exit: try exit(actor)
    case .signal(let name, let word): try signal(name, word)
    case .fail(let fail): try self.fail(fail, by: actor)
    case .dump(let range): try dump(part(range))
    case .limit(let limit): try self.limit(limit, by: actor)
    case .fork(let child): try fork(child, by: actor)
    case .remap(let range): try remap(part(range), by: actor)
    case .lock(let range): try lock(part(range), locks: true, by: actor)
    case .unlock(let range): try lock(part(range), locks: false, by: actor)
    case .split(let range): try split(part(range), by: actor)
    case .clearRefs: try clearReferences(by: actor)
    case .ksm: try mergePages()
    case .device(let action, let range): try device(action, part(range), by: actor)
    case .container(let name, let kind): try openContainer(name, kind, by: actor)
    case .attach(let attach): try self.attach(attach, by: actor)
    case .detach(let device): try detach(device, by: actor)
    case .dmaMap(let map): try self.map(map, of: part(map.range), in: step, by: actor)
    case .dmaCopy(let copy): try self.copy(copy, in: step, by: actor)
    case .dmaUnmap(let container, let range): try unmap(range, of: container, by: actor)
    }
  }

  /// The pages that a range means.
  @inlinable
  package func part(_ range: Verb.RegionRange) throws(StepStop) -> RegionPart<Region> {
    guard let region = region(range.region) else {
      throw .failed(.EFAULT, .address, "the region \(range.region) was not mapped")
    }
    let first = Int(clamping: range.offset.pages)
    let count = pageCount(of: region)
    let pages = range.size.map { Int(clamping: $0.pages) } ?? (count - first)
    guard first <= count, pages <= count - first else {
      throw .failed(.EFAULT, .address, "\(range.region) has \(count) pages")
    }
    return RegionPart(name: range.region, region: region, first: first, pages: pages)
  }

  /// What is held under a name.
  ///
  /// A pin that failed, or was given back, holds nothing: there is nothing that a step could be done to.
  @inlinable
  package func holding(held name: String) throws(StepStop) -> Holding {
    guard let holding = holding(name) else { throw .skipped("\(name) was not taken, or was given back") }
    return holding
  }

  /// The pages of a pin or references that a device is to look at.
  @inlinable
  package func pages(of held: Verb.ContentTarget.Held) throws(StepStop) -> Range<Int> {
    let count = pageCount(of: try holding(held: held.name))
    let first = Int(clamping: held.offset.pages)
    let pages = held.size.map { Int(clamping: $0.pages) } ?? max(0, count - first)
    guard first <= count, pages <= count - first else {
      throw StepStop.failed(.EINVAL, .argument, "\(held.name) has \(count) pages")
        .after(StepResult(requested: Int64(pages), pages: 0))
    }
    return first..<first + pages
  }
}

/// Pages of a region.
package struct RegionPart<Region> {
  /// The region's name.
  package let name: String
  package let region: Region
  /// The number of the first page in the region.
  package let first: Int
  /// How many.
  package let pages: Int

  @inlinable
  package init(name: String, region: Region, first: Int, pages: Int) {
    self.name = name
    self.region = region
    self.first = first
    self.pages = pages
  }
}
