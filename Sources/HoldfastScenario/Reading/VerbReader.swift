/// Reads the fields of one verb, and notes the names that it defines and uses.
struct VerbReader {
  let word: Verb.Word
  let place: NameTable.Place
  let machine: MachineSpec
  var names: NameTable

  static let range = ["region", "offset", "size"]
  private static let grab = ["as", "region", "offset", "size", "flags", "entry"]

  mutating func read(_ body: Value) throws(ScenarioError) -> Verb {
    switch word {
    case .map: return .map(try readMap(body))
    case .unmap: return .unmap(try readRange(body.body(Self.range, main: "region")))
    case .protect:
      let fields = try body.fields(Self.range + ["protection"])
      return .protect(try readRange(fields), try fields.required("protection").word())
    case .advise:
      let fields = try body.fields(Self.range + ["advice"])
      return .advise(try readRange(fields), try fields.required("advice").word())
    case .touch:
      let fields = try body.body(Self.range + ["access"], main: "region")
      return .touch(try readRange(fields), try fields["access"]?.word() ?? .write)
    case .write: return try readContents(body) { .write($0, $1) }
    case .check: return try readContents(body) { .check($0, $1) }
    case .get: return .get(try readGrab(try body.body(Self.grab, main: "region"), as: .references))
    case .pin:
      let fields = try body.body(Self.grab + ["purpose"], main: "region")
      return .pin(try readGrab(fields, as: .pin), purpose: try fields["purpose"]?.word() ?? .test)
    case .put: return .put(reference: try use("reference", of: body, as: .references))
    case .unpin: return .unpin(try readUnpin(body))
    case .scope: return try readScope(body)
    case .allocate: return .allocate(try readAllocate(body))
    case .free:
      let fields = try body.body(["frames", "every"], main: "frames")
      return .free(
        frames: try names.use(fields.required("frames"), as: .frames, at: place),
        every: try fields["every"]?.integer(1...1_000_000) ?? 1)
    case .cmaAllocate: return .allocateContiguous(try readAllocateContiguous(body))
    case .cmaRelease: return .releaseContiguous(frames: try use("frames", of: body, as: .contiguousFrames))
    case .isolate:
      let fields = try body.body(["as"] + Self.range, main: "region")
      return .isolate(name: try define(fields["as"], .isolation), try readRange(fields, anyProcess: true))
    case .putback: return .putback(isolation: try use("isolation", of: body, as: .isolation))
    case .drain: return .drain(try body.body(["what"], main: "what").required("what").word())
    case .compact:
      return .compact(node: try body.fields(["node"])["node"]?.integer(0...(machine.nodes.count - 1)))
    case .migrate:
      let fields = try body.fields(Self.range + ["node"])
      return .migrate(
        try readRange(fields, anyProcess: true),
        node: try fields.required("node").integer(0...(machine.nodes.count - 1)))
    case .dump: return .dump(try readRange(body.body(Self.range, main: "region"), anyProcess: true))
    case .limit: return .limit(try body.body(["memlock"], main: "memlock").required("memlock").memlock())
    case .signal: return try readSignal(body)
    case .fail:
      let fields = try body.body(["of", "count", "skip"], main: "of")
      return .fail(
        Verb.Fail(
          point: try fields.required("of").word(),
          count: try fields["count"]?.integer(1...1_000_000_000) ?? 1,
          skip: try fields["skip"]?.integer(0...1_000_000_000) ?? 0))
    case .exit:
      _ = try body.fields([])
      return .exit
    case .fork: return .fork(actor: try readActor(try body.body(["actor"], main: "actor").required("actor")))
    case .remap: return .remap(try readRange(body.body(Self.range, main: "region")))
    case .lock: return .lock(try readRange(body.body(Self.range, main: "region")))
    case .unlock: return .unlock(try readRange(body.body(Self.range, main: "region")))
    case .split: return .split(try readRange(body.body(Self.range, main: "region")))
    case .clearRefs:
      _ = try body.fields([])
      return .clearRefs
    case .ksm:
      _ = try body.fields([])
      return .ksm
    case .device:
      let fields = try body.fields(Self.range + ["action"])
      return .device(try fields.required("action").word(), try readRange(fields))
    case .offline, .online, .add, .remove: return try readBlocks(body)
    case .container, .attach, .detach, .dmaMap, .dmaCopy, .dmaUnmap: return try readDevices(body)
    }
  }

  /// A range that the step's own process addresses, unless the kernel lets others in.
  mutating func readRange(_ fields: Fields, anyProcess: Bool = false) throws(ScenarioError)
    -> Verb.RegionRange
  {
    let region = try fields.required("region")
    let range = Verb.RegionRange(
      region: try names.use(region, as: .region, at: place, anyProcess: anyProcess),
      offset: try fields["offset"]?.offset() ?? .zero, size: try fields["size"]?.size())
    names.noteRange(range, location: (fields["size"] ?? fields["offset"] ?? region).location)
    return range
  }

  mutating func define(_ value: Value?, _ kind: NameTable.Kind, region: NameTable.Extent? = nil)
    throws(ScenarioError) -> String?
  {
    guard let value else { return nil }
    return try names.define(value, as: kind, at: place, extent: region)
  }

  /// The name under the verb's only key.
  private mutating func use(_ key: String, of body: Value, as kind: NameTable.Kind) throws(ScenarioError)
    -> String
  {
    try names.use(body.body([key], main: key).required(key), as: kind, at: place)
  }

  private mutating func readMap(_ body: Value) throws(ScenarioError) -> Verb.Map {
    let fields = try body.fields([
      "region", "size", "kind", "populate", "protection", "advice", "backing", "offset", "like",
    ])
    var kind: RegionKind = try fields["kind"]?.word() ?? .private
    let source: Verb.RegionSource
    var extent: MemorySize?
    if let like = fields["like"] {
      try refuse(
        ["size", "kind", "backing", "offset", "populate", "protection", "advice"], beside: "like", fields)
      source = .like(process: try like.integer(1...4_194_304))
    } else if let backing = fields["backing"] {
      try refuse(["kind", "like", "advice"], beside: "backing", fields)
      let other = try names.use(backing, as: .region, at: place, anyProcess: true)
      guard let shared = names.extent(of: other) else {
        throw backing.error("backing of map must name a region that is mapped further up; found \"\(other)\"")
      }
      guard shared.kind == .memfd else {
        throw backing.error(
          "backing of map must be a region of kind memfd; \(other) is \(shared.kind.rawValue)")
      }
      kind = shared.kind
      let offset = try fields["offset"]?.offset() ?? .zero
      let size = try fields["size"]?.size()
      names.noteRange(
        Verb.RegionRange(region: other, offset: offset, size: size),
        location: (fields["size"] ?? fields["offset"] ?? backing).location)
      source = .backing(region: other, offset: offset, size: size)
      extent = size ?? shared.size.flatMap { MemorySize(pages: $0.pages - min(offset.pages, $0.pages)) }
    } else {
      try refuse(["offset"], beside: "size", fields)
      let value = try fields.required("size")
      let size = try value.size()
      if kind.isHugetlb, !size.isMultiple(of: machine.hugePage) {
        throw value.error(
          "size of map must be a multiple of the huge page, \(machine.hugePage), for kind \(kind.rawValue); found \(size)"
        )
      }
      source = .size(size)
      extent = size
    }
    let advice: Advice? = try fields["advice"]?.word()
    if let advice, let value = fields["advice"], ![.hugePage, .noHugePage].contains(advice) {
      throw value.unknown(advice.rawValue, allowed: ["hugepage", "nohugepage"])
    }
    let region = try names.define(
      fields.required("region"), as: .region, at: place, extent: NameTable.Extent(kind: kind, size: extent))
    return Verb.Map(
      region: region, source: source, kind: kind, populate: try fields["populate"]?.boolean() ?? false,
      protection: try fields["protection"]?.word() ?? .rw, advice: advice)
  }

  private func refuse(_ keys: [String], beside other: String, _ fields: Fields) throws(ScenarioError) {
    for key in keys {
      if let found = fields.key(key) {
        throw found.error("\(key) and \(other) exclude each other in \(word.rawValue)")
      }
    }
  }

  private mutating func readContents(_ body: Value, _ make: (Verb.ContentTarget, Pattern) -> Verb)
    throws(ScenarioError) -> Verb
  {
    let fields = try body.body(
      Self.range + ["pin", "reference", "device", "iova", "pattern"], main: "region")
    let pattern = try fields["pattern"].map { value throws(ScenarioError) in try readPattern(value) }
    let content = pattern ?? .sequence(seed: 0)
    if let device = fields["device"] {
      try refuse(["region", "pin", "reference", "offset"], beside: "device", fields)
      return make(
        .device(name: try names.use(device, as: .device, at: place), try readDeviceRange(fields)), content)
    }
    try refuse(["iova"], beside: "region", fields)
    if let reference = fields["reference"] {
      guard word == .check else { throw reference.error("references can be checked, but not written") }
      try refuse(["region", "pin"], beside: "reference", fields)
      return make(.references(try readHeld(reference, as: .references, fields)), content)
    }
    guard let pin = fields["pin"] else { return make(.region(try readRange(fields)), content) }
    try refuse(["region"], beside: "pin", fields)
    return make(.pin(try readHeld(pin, as: .pin, fields)), content)
  }

  private mutating func readHeld(
    _ value: Value, as kind: NameTable.Kind, _ fields: Fields
  ) throws(ScenarioError) -> Verb.ContentTarget.Held {
    Verb.ContentTarget.Held(
      name: try names.use(value, as: kind, at: place), offset: try fields["offset"]?.offset() ?? .zero,
      size: try fields["size"]?.size())
  }

  private func readPattern(_ value: Value) throws(ScenarioError) -> Pattern {
    if value.isMapping {
      let seed = try value.fields(["sequence"]).required("sequence")
      return .sequence(seed: UInt64(try seed.integer(0...Int.max)))
    }
    if let scalar = value.scalar, scalar == "sequence" { return .sequence(seed: 0) }
    if let scalar = value.scalar, scalar.first?.isLetter == true {
      throw value.unknown(scalar, allowed: ["sequence", "a byte from 0 to 255"])
    }
    return .byte(UInt8(try value.integer(0...255)))
  }

  private mutating func readGrab(_ fields: Fields, as kind: NameTable.Kind) throws(ScenarioError) -> Verb.Grab
  {
    let entry: PinEntry = try fields["entry"]?.word() ?? .fast
    let range = try readRange(fields, anyProcess: entry == .remote)
    let flags: [PinFlag] = try fields["flags"]?.words() ?? []
    return Verb.Grab(name: try define(fields["as"], kind), range: range, flags: flags, entry: entry)
  }

  private mutating func readUnpin(_ body: Value) throws(ScenarioError) -> Verb.Unpin {
    let fields = try body.body(["pin", "offset", "size", "dirty"], main: "pin")
    return Verb.Unpin(
      pin: try names.use(fields.required("pin"), as: .pin, at: place),
      offset: try fields["offset"]?.offset() ?? .zero, size: try fields["size"]?.size(),
      dirty: try fields["dirty"]?.boolean() ?? false)
  }

  private mutating func readScope(_ body: Value) throws(ScenarioError) -> Verb {
    let fields = try body.fields(["save", "restore"])
    guard fields.names.count == 1 else { throw body.error("scope says either save or restore") }
    if let save = fields["save"] {
      return .scopeSave(name: try names.define(save, as: .scope, at: place, extent: nil))
    }
    return .scopeRestore(name: try names.use(fields.required("restore"), as: .scope, at: place))
  }

  private mutating func readAllocate(_ body: Value) throws(ScenarioError) -> Verb.Allocate {
    let fields = try body.fields(["as", "order", "count", "gfp", "node"])
    var gfp: [GFPWord] = [.kernel]
    if let value = fields["gfp"] {
      gfp = try value.words()
      if gfp.dropFirst().contains(where: \.isBase) {
        throw value.error("gfp of allocate has at most one base word, and it is the first")
      }
      let zones = gfp.filter { [.dma, .dma32, .highMem].contains($0) }
      let mobile = Set(gfp).isSuperset(of: [.movable, .reclaimable])
      if zones.count > 1 || mobile {
        let pair = mobile ? "movable and reclaimable" : zones.map(\.rawValue).joined(separator: " and ")
        throw value.error("gfp of allocate cannot say \(pair) together")
      }
    }
    return Verb.Allocate(
      name: try define(fields["as"], .frames), order: try fields["order"]?.integer(0...10) ?? 0,
      count: try fields["count"]?.integer(1...1_000_000_000) ?? 1, gfp: gfp,
      node: try fields["node"]?.integer(0...(machine.nodes.count - 1)))
  }

  private mutating func readAllocateContiguous(_ body: Value) throws(ScenarioError) -> Verb.AllocateContiguous
  {
    let fields = try body.fields(["as", "area", "size", "align-order"])
    let area = try fields.required("area")
    let name = try area.name()
    let known = machine.contiguousAreas.map(\.name)
    guard known.contains(name) else { throw area.unknown(name, allowed: known) }
    return Verb.AllocateContiguous(
      name: try define(fields["as"], .contiguousFrames), area: name, size: try fields.required("size").size(),
      alignOrder: try fields["align-order"]?.integer(0...30) ?? 0)
  }

  private mutating func readSignal(_ body: Value) throws(ScenarioError) -> Verb {
    let fields = try body.body(["actor", "kind"], main: "actor")
    return .signal(
      actor: try readActor(try fields.required("actor")), try fields["kind"]?.word() ?? .kill)
  }

  private mutating func readActor(_ value: Value) throws(ScenarioError) -> String {
    let name = try value.name()
    names.noteActor(name, location: value.location)
    return name
  }
}
