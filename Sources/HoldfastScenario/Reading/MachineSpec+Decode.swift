extension MachineSpec {
  private static let keys = [
    "memory", "nodes", "cpus", "page-tables", "huge-page", "pageblock", "section", "block", "zones",
    "movable", "zero-page", "kernelcore", "cma", "on-live", "pin-bias",
  ]

  static func decode(_ value: Value) throws(ScenarioError) -> MachineSpec {
    let fields = try value.fields(keys)
    let nodes = try decodeNodes(fields)
    var machine = MachineSpec(
      nodes: nodes, tableBits: try fields["page-tables"]?.integer(1...9) ?? 9, hugePage: .zero,
      pageblock: .zero,
      section: .zero, block: .zero, dmaLimit: nil, dma32Limit: nil,
      movableCore: try fields["movable"]?.amount(), kernelCore: try fields["kernelcore"]?.amount(),
      contiguousAreas: [], liveChanges: [])
    machine.pinBias = try fields["pin-bias"]?.integer(2...1 << 30) ?? machine.pinBias
    try machine.decodeUnits(fields)
    try machine.decodeZones(fields)
    machine.zeroPage = try fields["zero-page"]?.integer(0...Int(clamping: machine.memory.pages - 1))
    for (key, amount) in [("movable", machine.movableCore), ("kernelcore", machine.kernelCore)] {
      if case .size(let size) = amount, size > machine.memory {
        throw try fields.required(key).error("\(key) is \(size), but the machine has \(machine.memory)")
      }
    }
    for area in try fields["cma"]?.list() ?? [] {
      machine.contiguousAreas.append(try machine.decodeArea(area.named("cma area")))
    }
    for change in try fields["on-live"]?.list() ?? [] {
      machine.liveChanges.append(try machine.decodeChange(change.named("on-live")))
    }
    return machine
  }

  private static func decodeNodes(_ fields: Fields) throws(ScenarioError) -> [NodeSpec] {
    guard let list = fields["nodes"] else {
      return [
        NodeSpec(
          memory: try fields.required("memory").size(), cpus: try fields["cpus"]?.integer(1...1024) ?? 1)
      ]
    }
    for key in ["memory", "cpus"] {
      if let found = fields.key(key) { throw found.error("a machine with nodes gives \(key) per node") }
    }
    var nodes: [NodeSpec] = []
    var total = MemorySize.zero
    for value in try list.list() {
      let node = try value.named("node").fields(["memory", "cpus"])
      let memory = try node.required("memory").size()
      guard let sum = total.adding(memory) else {
        throw value.error("the machine's memory must be below 2^63 bytes")
      }
      total = sum
      nodes.append(NodeSpec(memory: memory, cpus: try node["cpus"]?.integer(0...1024) ?? 1))
    }
    guard (1...64).contains(nodes.count) else {
      throw list.error("a machine has 1 to 64 nodes; found \(nodes.count)")
    }
    guard nodes.contains(where: { $0.cpus > 0 }) else { throw list.error("a machine needs at least one CPU") }
    return nodes
  }

  /// Each unit defaults to x86-64's, or to what a smaller unit beside it asks for, and is a multiple of the one
  /// before.
  private mutating func decodeUnits(_ fields: Fields) throws(ScenarioError) {
    func unit(_ key: String, _ standard: MemorySize, atLeast least: MemorySize, _ name: String)
      throws(ScenarioError) -> MemorySize
    {
      guard let value = fields[key] else { return max(standard, least) }
      let size = try value.size()
      guard size.isPowerOfTwo else {
        throw value.error("\(value.what) must be a power of two; found \(size)")
      }
      guard size >= least else { throw value.error("\(value.what) is \(size), less than \(name), \(least)") }
      return size
    }
    let page = MemorySize(pages: 1) ?? .zero
    let natural = MemorySize(pages: 1 << UInt64(tableBits)) ?? page
    hugePage = try unit("huge-page", natural, atLeast: page, "a page")
    pageblock = try unit("pageblock", hugePage, atLeast: page, "a page")
    let large = MemorySize(bytes: 128 << 20) ?? page
    let givenBlock = try fields["block"]?.size()
    section = try unit("section", min(large, givenBlock ?? large), atLeast: pageblock, "a pageblock")
    block = try unit("block", section, atLeast: section, "a section")
    for node in nodes where !node.memory.isMultiple(of: block) {
      guard let value = fields["memory"] ?? fields["nodes"] else { continue }
      throw value.error(
        "memory must be a multiple of the memory block, \(block); found \(node.memory) (a small model gives "
          + "\"block\" and \"page-tables\" too)")
    }
  }

  /// The kernel's limits, except on models too small for them.
  private mutating func decodeZones(_ fields: Fields) throws(ScenarioError) {
    let small = MemorySize(bytes: 64 << 20) ?? .zero
    if memory > small {
      dmaLimit = MemorySize(bytes: 16 << 20)
      dma32Limit = MemorySize(bytes: 4 << 30)
    }
    guard let zones = try fields["zones"]?.named("zones").fields(["dma", "dma32"]) else { return }
    func limit(_ value: Value) throws(ScenarioError) -> MemorySize? {
      if let scalar = value.scalar, scalar == "none" { return nil }
      let size = try value.size()
      guard size.isMultiple(of: pageblock) else {
        throw value.error("\(value.what) must be a multiple of the pageblock, \(pageblock); found \(size)")
      }
      return size
    }
    if let value = zones["dma"] { dmaLimit = try limit(value) }
    if let value = zones["dma32"] { dma32Limit = try limit(value) }
    if let dmaLimit, let dma32Limit, dmaLimit >= dma32Limit {
      throw (zones["dma32"] ?? zones["dma"] ?? zones.whole).error(
        "zone dma32 must end above zone dma; found \(dma32Limit) and \(dmaLimit)")
    }
  }

  private func decodeArea(_ value: Value) throws(ScenarioError) -> ContiguousArea {
    let fields = try value.fields(["name", "size", "align", "base", "zone"])
    let name = try fields.required("name")
    var area = ContiguousArea(
      name: try name.name(), size: try fields.required("size").size(),
      align: try fields["align"]?.size() ?? pageblock, base: try fields["base"]?.offset(),
      zone: try fields["zone"]?.word(ZoneKind.self))
    if contiguousAreas.contains(where: { $0.name == area.name }) {
      throw name.error("\"\(area.name)\" already names a cma area")
    }
    for key in ["size", "align", "base"] {
      guard let given = fields[key] else { continue }
      let size = try given.offset()
      if !size.isMultiple(of: pageblock) {
        throw given.error("\(given.what) must be a multiple of the pageblock, \(pageblock); found \(size)")
      }
    }
    if let align = fields["align"], !area.align.isPowerOfTwo {
      throw align.error("\(align.what) must be a power of two; found \(area.align)")
    }
    let end = area.size.adding(area.base ?? .zero)
    guard let end, end <= memory else {
      throw value.error("cma area \(area.name) ends beyond the machine's memory, \(memory)")
    }
    if let base = area.base, !base.isMultiple(of: area.align) {
      throw value.error("base of cma area \(area.name) is not aligned to \(area.align)")
    }
    area.align = max(area.align, pageblock)
    return area
  }

  private func decodeChange(_ value: Value) throws(ScenarioError) -> LiveChange {
    let fields = try value.fields(["online", "cma"])
    guard fields.names.count == 1 else { throw value.error("a change on-live is one of online and cma") }
    if let area = fields["cma"] {
      let name = try area.name()
      let known = contiguousAreas.map(\.name)
      guard known.contains(name) else { throw area.unknown(name, allowed: known) }
      return .contiguousArea(name: name)
    }
    let online = try fields.required("online").named("online").fields(["blocks", "zone"])
    let zone: ZoneKind = try online.required("zone").word()
    return .online(blocks: try online.required("blocks").integer(1...1_000_000), zone: zone)
  }
}
