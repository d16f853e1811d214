extension Verb {
  /// What the step asks for, in a few plain words; reports print it beside what came of it.
  public var summary: String {
    switch self {
    case .map(let map): map.summary
    case .unmap(let range): "unmap \(range)"
    case .protect(let range, let protection): "make \(range) \(protection.summary)"
    case .advise(let range, let advice): "advise \(advice.rawValue) on \(range)"
    case .touch(let range, .read): "read a byte of every page of \(range)"
    case .touch(let range, .write): "write a byte of every page of \(range)"
    case .write(let target, let pattern): "write \(pattern.summary) to \(target.summary)"
    case .check(let target, let pattern): "check \(target.summary) for \(pattern.summary)"
    case .get(let grab): "take references to \(grab.summary)"
    case .put(let name): "put the references \(name)"
    case .pin(let grab, let purpose):
      (grab.flags.contains(.longterm) ? "pin long-term " : "pin ") + grab.summary
        + (purpose == .test ? "" : " for \(purpose.rawValue)")
    case .unpin(let unpin): unpin.summary
    case .scopeSave(let name): "enter a pin scope (\(name))"
    case .scopeRestore(let name): "leave the pin scope (\(name))"
    case .allocate(let allocate): allocate.summary
    case .free(let name, 1): "free the frames \(name)"
    case .free(let name, let every): "free one in \(every) of the frames \(name)"
    case .allocateContiguous(let request): "allocate \(request.size) from CMA area \(request.area)"
    case .releaseContiguous(let name): "release the CMA frames \(name)"
    case .isolate(_, let range): "take \(range) off the LRU lists"
    case .putback(let name): "put \(name) back on the LRU lists"
    case .drain(.lru): "drain the LRU batches"
    case .drain(.pcp): "drain the per-CPU free lists"
    case .compact(let node): node.map { "compact node \($0)" } ?? "compact memory"
    case .migrate(let range, let node): "move \(range) to node \(node)"
    case .offline(let offline): "offline \(offline.blocks.summary)"
    case .online(let blocks, let kind):
      "online \(blocks.summary)" + (kind == .online ? "" : " for \(kind.rawValue) use")
    case .add(let blocks, let node): "hot-add \(blocks) block\(blocks == 1 ? "" : "s") to node \(node)"
    case .remove(let blocks): "hot-remove \(blocks.summary)"
    case .exit: "exit"
    case .signal(let actor, let signal): "send \(signal == .kill ? "SIGKILL" : "SIGTERM") to \(actor)"
    case .fail(let fail): fail.summary
    case .dump(let range): "dump the pages of \(range)"
    case .limit(.unlimited): "lift the limit on locked memory"
    case .limit(.limited(let size)): "limit locked memory to \(size)"
    case .fork(let actor): "fork \(actor)"
    case .remap(let range): "move \(range) to another address"
    case .lock(let range): "lock \(range) into memory"
    case .unlock(let range): "unlock \(range)"
    case .split(let range): "split the huge pages of \(range)"
    case .clearRefs: "clear the soft-dirty bits"
    case .ksm: "let ksmd scan everything"
    case .device(let action, let range): "\(action.summary) \(range)"
    case .container(let name, let kind): "open the container \(name) (\(kind.rawValue))"
    case .attach(let attach): attach.summary
    case .detach(let device): "take the device \(device) out of its container"
    case .dmaMap(let map): map.summary
    case .dmaCopy(let copy): copy.summary
    case .dmaUnmap(let container, let range?): "unmap \(range) of container \(container)"
    case .dmaUnmap(let container, nil): "unmap everything of container \(container)"
    }
  }
}

extension Verb.RegionRange: CustomStringConvertible {
  /// The range in words: `ram`, or `4 KiB of ram at 64 KiB`.
  public var description: String {
    switch (offset == .zero, size) {
    case (true, nil): region
    case (false, nil): "\(region) from \(offset)"
    case (true, let size?): "the first \(size) of \(region)"
    case (false, let size?): "\(size) of \(region) at \(offset)"
    }
  }
}

extension Verb.DeviceRange: CustomStringConvertible {
  /// The range in words: `4 KiB at iova 0x10000`.
  public var description: String { "\(size) at iova 0x\(String(iova.bytes, radix: 16))" }
}

extension Verb.Attach {
  fileprivate var summary: String {
    var text = "put the \(isEmulated ? "emulated " : "")device \(name) into container \(container)"
    if iommu != 0 { text += ", behind IOMMU \(iommu)" }
    if let aperture { text += ", which translates addresses below \(aperture)" }
    return text
  }
}

extension DeviceAccessWord {
  fileprivate var summary: String {
    switch self {
    case .r: "reads"
    case .w: "writes"
    case .rw: "reads and writes"
    }
  }
}

extension MemorySize {
  fileprivate var asAddress: String { "iova 0x" + String(bytes, radix: 16) }
}

extension Verb.DMAMap {
  fileprivate var summary: String {
    "map \(isFile ? "the memory file of " : "")\(range) for \(access.summary) of container \(container)"
      + (iova.map { " at \($0.asAddress)" } ?? "")
  }
}

extension Verb.DMACopy {
  fileprivate var summary: String {
    "map \(range) of container \(source) for \(access.summary) of container \(target)"
      + (iova.map { " at \($0.asAddress)" } ?? "")
  }
}

extension Verb.Map {
  fileprivate var summary: String {
    let what: String
    switch source {
    case .size(let size): what = "\(size) of \(kind.rawValue) memory as \(region)"
    case .backing(let other, _, _): what = "the memory of \(other) again as \(region)"
    case .like(let process): what = "the layout of process \(process) as \(region)"
    }
    return "map " + what + (populate ? ", populated" : "")
  }
}

extension Verb.ContentTarget {
  fileprivate var summary: String {
    switch self {
    case .region(let range): "\(range)"
    case .pin(let held): "the device's view of \(held.summary("pin"))"
    case .references(let held): "what \(held.summary("the references")) hold"
    case .device(let name, let range): "what the device \(name) sees at \(range)"
    }
  }
}

extension Verb.ContentTarget.Held {
  fileprivate func summary(_ what: String) -> String {
    switch (offset == .zero, size) {
    case (true, nil): "\(what) \(name)"
    case (false, nil): "\(what) \(name) from \(offset)"
    case (true, let size?): "the first \(size) of \(what) \(name)"
    case (false, let size?): "\(size) of \(what) \(name) at \(offset)"
    }
  }
}

extension Verb.Grab {
  fileprivate var summary: String {
    let rest = flags.filter { $0 != .longterm }.map(\.rawValue)
    return "\(range)" + (rest.isEmpty ? "" : " (\(rest.joined(separator: ", ")))")
      + " by the \(entry.rawValue) path"
  }
}

extension Verb.Unpin {
  fileprivate var summary: String {
    let part = size.map { "\($0) at \(offset) of " } ?? (offset == .zero ? "" : "from \(offset) on of ")
    return "unpin \(part)\(pin)" + (dirty ? ", dirty" : "")
  }
}

extension Verb.Allocate {
  fileprivate var summary: String {
    let frames = order == 0 ? "" : " of order \(order)"
    return
      "allocate \(count) frame\(count == 1 ? "" : "s")\(frames) (\(gfp.map(\.rawValue).joined(separator: ", ")))"
  }
}

extension Verb.BlockSelection {
  fileprivate var summary: String {
    let place = [zone.map { "zone \($0.kernelName)" }, node.map { "node \($0)" }].compactMap { $0 }
    let of = place.isEmpty ? "" : " of " + place.joined(separator: ", ")
    switch pick {
    case .whole: return "every whole block" + of
    case .all: return "every block" + of
    case .count(let count): return "\(count) block\(count == 1 ? "" : "s")" + of
    case .indices(let indices):
      return "block\(indices.count == 1 ? "" : "s") " + indices.map(String.init).joined(separator: ", ")
    }
  }
}

extension Verb.Fail {
  fileprivate var summary: String {
    let names: [FailurePoint: String] = [
      .allocation: "allocation", .isolation: "isolation", .copy: "copy", .memlock: "memlock charge",
      .pageLock: "attempt at a page lock", .unmap: "unmapping", .table: "table row",
      .reference: "comparison of references", .notifier: "consent of a memory notifier",
    ]
    let name = names[point] ?? point.rawValue
    let which = count == 1 ? "next \(name)" : "next \(count) \(name)s"
    return "make the \(which) fail" + (skip == 0 ? "" : " after \(skip)")
  }
}

extension Pattern {
  fileprivate var summary: String {
    switch self {
    case .sequence(0): "the sequence"
    case .sequence(let seed): "sequence \(seed)"
    case .byte(let byte): "byte \(byte)"
    }
  }
}

extension DeviceAction {
  fileprivate var summary: String {
    switch self {
    case .exclusive: "give the device exclusive access to"
    case .checkExclusive: "check the device's exclusive access to"
    case .atomic: "let the device add atomically to"
    case .migrateToDevice: "move into device memory"
    case .migrateToSystem: "move back from device memory"
    case .read: "let the device read"
    case .write: "let the device write"
    case .snapshot: "show the device's page tables of"
    }
  }
}

extension ProtectionWord {
  fileprivate var summary: String {
    switch self {
    case .none: "inaccessible"
    case .r: "read-only"
    case .rw: "readable and writable"
    }
  }
}
