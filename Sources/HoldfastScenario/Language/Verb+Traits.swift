/// What is true of a verb wherever it is done.
extension Verb {
  /// Whether the verb acts on memory blocks.
  package var actsOnBlocks: Bool {
    switch self {
    case .offline, .online, .add, .remove: true
    default: false
    }
  }

  /// Whether such steps give pins or references back.
  package var releases: Bool {
    switch self {
    case .put, .unpin, .exit, .detach, .dmaUnmap: true
    default: false
    }
  }

  /// Whether such steps take pages away from addresses that may be pinned.
  package var discards: Bool {
    switch self {
    case .unmap, .exit, .remap: true
    case .advise(_, let word):
      switch word {
      case .hugePage, .noHugePage, .populateRead, .populateWrite, .noMovable: false
      default: true
      }
    default: false
    }
  }

  /// The regions that the verb names and that exist before it.
  package var regions: [String] {
    if let range { return [range.region] }
    switch self {
    case .map(let map):
      if case .backing(let region, _, _) = map.source { return [region] }
      return []
    default: return []
    }
  }

  /// The range that it is done to.
  package var range: RegionRange? {
    switch self {
    case .unmap(let range), .protect(let range, _), .advise(let range, _), .touch(let range, _),
      .isolate(_, let range),
      .migrate(let range, _), .dump(let range), .remap(let range), .lock(let range), .unlock(let range),
      .split(let range), .device(_, let range):
      range
    case .write(let target, _), .check(let target, _): target.range
    case .get(let grab), .pin(let grab, _): grab.range
    case .dmaMap(let map): map.range
    default: nil
    }
  }
}

extension Verb.Word {
  /// Whether records say what such steps have cost.
  package var hasCosts: Bool {
    switch self {
    case .pin, .dmaMap, .dmaCopy, .offline, .migrate, .compact, .cmaAllocate: true
    default: false
    }
  }
}
