import Interleaving

/// Page dumps in the kernel's format, which differs between versions (rule 1.12).
extension Machine {
  /// What dump_page prints for a frame.
  ///
  /// Hashed pointers are made from the frame number, so that a dump repeats; the shape is the policy's kernel's.
  ///
  /// - Kernel: mm/debug.c:__dump_page (6.1); without the operations and name of a file's mapping, KSM.
  /// - Kernel: mm/debug.c:dump_page (6.1); without page owners.
  public func dump(_ frame: FrameNumber, reason: String? = nil) -> [String] {
    guard memmap.hasMetadata(frame) else {
      return ["page:\(pointer(frame)) is uninitialized and poisoned"] + Self.reasonLine(reason)
    }
    let head = memmap.head(of: frame)
    let folio = memmap.page(head)
    var lines = [summary(frame, head)]
    if folio.isLarge, showsHead {
      lines.append(largeLine(head))
    }
    lines.append(flagLine(frame, head))
    if policy == .linuxMainline || policy == .linux6_14, let type = Self.typeLine(memmap.page(frame).type) {
      lines.append(type)
    }
    if showsHead {
      lines += rawLines("raw: ", frame)
      if head != frame { lines += rawLines("head: ", head) }
    }
    return lines + Self.reasonLine(reason)
  }

  /// Whether flags and counts are those of the folio's head rather than the page's own (5.8 and later).
  private var showsHead: Bool {
    policy.counting != .reference && policy != .pinExact && policy != .pinBias
  }

  private func summary(_ frame: FrameNumber, _ head: FrameNumber) -> String {
    let folio = memmap.page(head)
    let own = memmap.page(frame)
    let mapcount =
      folio.has(.slab) ? 0 : own.mapcount.load() + (folio.isLarge ? folio.entireMapcount.load() : 0)
    // Since 5.8 it is page_mapping's answer, which is none for anonymous memory.
    let hasNone = folio.mapping == .none || (showsHead && folio.mapping.isAnonymous)
    let mapping = hasNone ? "0000000000000000" : Self.hash(UInt64(folio.mapping.rawValue) << 32)
    let index =
      "0x" + String(own.isTail ? folio.index + UInt64(frame.index - head.index) : folio.index, radix: 16)
    switch policy {
    case .linux5_5, .pinBias, .pinExact:
      var line = "page:\(pointer(frame)) refcount:\(own.refcount.load())"
      if policy == .pinExact, folio.isLarge { line += " head refcount:\(folio.refcount.load())" }
      line += " mapcount:\(mapcount) mapping:\(mapping) index:\(index)"
      if folio.isLarge {
        line += " compound_mapcount:\(policy == .pinExact ? "" : " ")\(folio.entireMapcount.load())"
        if policy == .pinExact, folio.order > 1 { line += " compound_pincount:\(folio.pincount.load())" }
      }
      return line
    case .linuxMainline, .linux6_14:
      return
        "page: refcount:\(folio.refcount.load()) mapcount:\(mapcount) mapping:\(mapping) index:\(index) "
        + "pfn:0x\(String(frame.index, radix: 16))"
    default:
      return
        "page:\(pointer(frame)) refcount:\(folio.refcount.load()) mapcount:\(mapcount) mapping:\(mapping) "
        + "index:\(index) pfn:0x\(String(frame.index, radix: 16))"
    }
  }

  private func largeLine(_ head: FrameNumber) -> String {
    let folio = memmap.page(head)
    if policy == .linuxMainline || policy == .linux6_14 {
      let mapped = folio.pagesMapped.load() & (Page.wholeMapping - 1)
      return
        "head: order:\(folio.order) mapcount:\(folios.mappingCount(head)) "
        + "entire_mapcount:\(folio.entireMapcount.load()) nr_pages_mapped:\(mapped) pincount:\(folio.pincount.load())"
    }
    var line = "head:\(pointer(head)) order:\(folio.order) compound_mapcount:\(folio.entireMapcount.load())"
    if policy.counting == .exactForLarge || folio.order > 1 {
      line += " compound_pincount:\(folio.pincount.load())"
    }
    return line
  }

  private func flagLine(_ frame: FrameNumber, _ head: FrameNumber) -> String {
    let word = memmap.page(showsHead ? head : frame).flagWord.load()
    var names: [String] = []
    for (bit, name) in PageFlags.names.enumerated() where word & (1 << UInt64(bit)) != 0 {
      names.append(name)
    }
    let zone = memmap.page(frame).zone
    names.append("node=\(zone.node)")
    names.append("zone=\(zone.kind.number)")
    names.append("lastcpupid=0x1fffff")
    let kind = memmap.page(head).mapping.isAnonymous ? "anon " : ""
    let cma = buddy.pageblockType(of: frame) == .cma ? " CMA" : ""
    return "\(kind)flags: 0x\(String(word, radix: 16))(\(names.joined(separator: "|")))\(cma)"
  }

  /// The descriptor as eight words of sixteen digits, four a row.
  private func rawLines(_ prefix: String, _ frame: FrameNumber) -> [String] {
    let page = memmap.page(frame)
    let words: [UInt64] = [
      page.flagWord.load(), UInt64(page.next.rawValue), UInt64(page.previous.rawValue),
      UInt64(page.mapping.rawValue), page.index, 0,
      UInt64(UInt32(bitPattern: page.mapcount.load() - 1))
        | UInt64(UInt32(bitPattern: page.refcount.load())) << 32,
      0,
    ]
    return stride(from: 0, to: 8, by: 4).map { start in
      prefix + words[start..<(start + 4)].map(Self.digits).joined(separator: " ")
    }
  }

  /// The type of a page that is never mapped to user space: every bit set but the type's own.
  private static func typeLine(_ type: PageType) -> String? {
    switch type {
    case .buddy: "page_type: 0xffffff7f(buddy)"
    case .offline: "page_type: 0xfffffeff(offline)"
    case .table: "page_type: 0xfffffdff(table)"
    case .absent, .none, .perCPU: nil
    }
  }

  private static func reasonLine(_ reason: String?) -> [String] {
    reason.map { ["page dumped because: \($0)"] } ?? []
  }

  private func pointer(_ frame: FrameNumber) -> String { Self.hash(UInt64(frame.rawValue)) }

  private static func hash(_ value: UInt64) -> String {
    var mixed = value &+ 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    return digits((mixed ^ (mixed >> 31)) & 0xffff_ffff)
  }

  private static func digits(_ word: UInt64) -> String {
    let text = String(word, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
}
