import Holdfast

/// Page-table entries, and the pins of what they map.
extension StepChecks {
  /// The breach that the new value of an entry causes, if any.
  func entry(_ entry: PageTableEntry, _ table: Int) -> InvariantViolation? {
    if entry.isTable || entry.isNone { return nil }
    let frame = entry.frame.index
    if entry.isMigration {
      let head = frame - map.page(frame).headOffset
      return map.page(head).flags.contains(.locked) ? nil : unlocked(frame, table)
    }
    guard entry.mapsFrame || entry.isExclusive, !entry.isSpecial else { return nil }
    let page = map.page(frame)
    let head = frame &- page.headOffset
    let top = map.page(head)
    if top.references <= 0 || !top.isOf(.none) && !top.isOf(.table) { return unallocated(frame, table) }
    if entry.isExclusive { return nil }
    if policy.tracksExclusive, entry.isWritable, top.isAnonymous, !page.flags.contains(.anonExclusive) {
      return writableShared(frame, table)
    }
    if let mirror = mirror(of: frame) { return mappedToo(frame, table, mirror) }
    return releasing == 0 && !isDiscarding ? incoherentPin() : nil
  }

  /// The table page with an entry that maps an anonymous page writable, if there is one.
  func writableEntry(of frame: Int) -> Int? {
    entry { $0.mapsFrame && $0.isWritable && !$0.isSpecial && $0.frame.index == frame }
  }

  /// The table page with a migration entry for a page of a folio, given its head, if there is one.
  func migrationEntry(of head: Int) -> Int? {
    let page = map.page(head)
    let pages = page.isLarge ? 1 << page.order : 1
    return entry { $0.isMigration && $0.frame.index >= head && $0.frame.index < head + pages }
  }

  @inline(__always)
  private func entry(where fits: (PageTableEntry) -> Bool) -> Int? {
    var table = 1
    let used = map.usedRows(.tablePages)
    while table <= used {
      if map.isTableLive(table) {
        for index in 0..<(1 &<< map.tableBits) {
          let entry = map.entry(table, index)
          if !entry.isNone, !entry.isTable, fits(entry) { return table }
        }
      }
      table &+= 1
    }
    return nil
  }

  /// The device that has a page exclusively, if one has.
  private func mirror(of frame: Int) -> Int? {
    map.mirroredFrames { $0.index == frame ? $1 : nil }
  }

  /// The first breach that the tables of a device show, when its lock is released.
  func mirror(_ mirror: Int) -> InvariantViolation? {
    map.mirroredFrames { frame, mirror in
      let page = map.page(frame.index)
      if map.page(frame.index &- page.headOffset).references <= 0 {
        return StepInvariant.exclusiveIsAlone.broken(
          "mirror \(mirror) has \(frame), which is free, exclusively")
      }
      return entry { $0.mapsFrame && $0.frame == frame && !$0.isSpecial }.map {
        mappedToo(frame.index, $0, mirror)
      }
    }
  }

  // MARK: - The ledger

  /// The first breach that the records of the ledger show, when the ledger's lock is released.
  func ledger() -> InvariantViolation? {
    let found = firstBroken { record, isPin in
      let isLongterm = isPin && record.flags.contains(.longterm)
      for place in 0..<record.total {
        let frame = map.slot(record.slots &+ place)
        if frame == .none { continue }
        if isLongterm, isForbidden(frame.index) { return forbidden(frame) }
        if releasing == 0, let found = held(frame.index) { return found }
      }
      return nil
    }
    if let found { return found }
    return releasing == 0 && !isDiscarding ? incoherentPin() : nil
  }

  /// Whether a long-term pin may not be on a frame.
  private func isForbidden(_ frame: Int) -> Bool {
    if frame == map.zeroPage, policy.zeroPageExempt { return false }
    let head = frame &- map.page(frame).headOffset
    if map.pageblockType(head) == MigrateType.cma.number { return true }
    return policy.forbidden != .cma
      && PageFlags.zoneKind(of: map.page(head).flagWord) == ZoneKind.movable.number
  }

  /// Whether a page has all the references that its mappings and the ledger say it has.
  ///
  /// A reference exists before a mapping or a record does, and is dropped after it, except while pins are released.
  func held(_ frame: Int) -> InvariantViolation? {
    let head = frame &- map.page(frame).headOffset
    let page = map.page(head)
    let isExact = page.isLarge && page.order >= leastExactOrder
    var (pins, gets) = holds(head, page)
    if pins | gets == 0 { return nil }
    if head == map.zeroPage, !policy.zeroPageCounted { pins = 0 }
    let weight = isExact ? 1 : Int(pinWeight)
    let needed = pins &* weight &+ gets &+ (page.isLarge ? 0 : Int(page.mappings))
    if Int(page.references) < needed || isExact && Int(page.pins) < pins {
      return hasOverflowed(page, pins) && page.references < 0 ? nil : notHeld(head, pins, gets)
    }
    return nil
  }

  /// Whether a small page has so many pins that its count may be below zero: what is refused is the pin after that.
  func hasOverflowed(_ page: RawPage, _ pins: Int) -> Bool {
    !page.isLarge && (pins &+ 1) &* Int(pinWeight) > Int(Int32.max)
  }

  /// The pins and gets of a folio that the ledger has on record.
  func holds(_ head: Int, _ page: RawPage) -> (pins: Int, gets: Int) {
    let last = head &+ (page.isLarge ? 1 &<< page.order : 1)
    var pins = 0
    var gets = 0
    _ = firstBroken { record, isPin in
      for place in 0..<record.total {
        let held = map.slot(record.slots &+ place).index
        if held < head || held >= last { continue }
        if isPin { pins &+= 1 } else { gets &+= 1 }
      }
      return nil
    }
    return (pins, gets)
  }

  /// A pin whose page is not the one that its address space maps there any more.
  private func incoherentPin() -> InvariantViolation? {
    firstBroken { record, isPin in
      guard isPin else { return nil }
      let mayWrite = record.flags.contains(.write)
      for place in 0..<record.total {
        let frame = map.slot(record.slots &+ place)
        if frame == .none { continue }
        let virtual = record.startPage &+ UInt64(truncatingIfNeeded: place)
        guard let mapped = map.mappedFrame(record.space, virtual), mapped != frame.index else { continue }
        if !mayWrite {
          let head = frame.index &- map.page(frame.index).headOffset
          if !policy.tracksExclusive || frame.index == map.zeroPage || !map.page(head).isAnonymous {
            continue
          }
        }
        return incoherent(frame, mapped, virtual)
      }
      return nil
    }
  }

  /// Looks at the pins and gets on record, one after the other, until a breach is found.
  @inline(__always)
  private func firstBroken(
    _ look: (_ record: RawRecord, _ isPin: Bool) -> InvariantViolation?
  ) -> InvariantViolation? {
    let used = map.usedRows(.pinRecords)
    var index = 1
    while index <= used {
      let record = map.record(index)
      let kind = record.kind
      let isPin = kind == Ledger.pinKind
      if isPin || kind == Ledger.getKind, let found = look(record, isPin) { return found }
      index &+= 1
    }
    return nil
  }

  // MARK: - Breaches

  @inline(never)
  private func unlocked(_ frame: Int, _ table: Int) -> InvariantViolation {
    StepInvariant.migratingIsLocked.broken(
      "\(FrameNumber(frame)) is not locked, and a migration entry in table page \(table) names it")
  }

  @inline(never)
  private func unallocated(_ frame: Int, _ table: Int) -> InvariantViolation {
    StepInvariant.mappedIsAllocated.broken(
      "\(FrameNumber(frame)) is mapped by table page \(table) with \(map.page(frame).references) references")
  }

  @inline(never)
  private func mappedToo(_ frame: Int, _ table: Int, _ mirror: Int) -> InvariantViolation {
    StepInvariant.exclusiveIsAlone.broken(
      "mirror \(mirror) has \(FrameNumber(frame)) exclusively, and table page \(table) maps it")
  }

  @inline(never)
  private func forbidden(_ frame: FrameNumber) -> InvariantViolation {
    StepInvariant.longtermPlacement.broken(
      "\(frame) in \(machine.memmap.page(frame).zone), pageblock \(machine.buddy.pageblockType(of: frame)), is pinned long term"
    )
  }

  @inline(never)
  private func notHeld(_ head: Int, _ pins: Int, _ gets: Int) -> InvariantViolation {
    let page = map.page(head)
    return StepInvariant.pinnedIsHeld.broken(
      "\(FrameNumber(head)) has \(page.references) references and pincount \(page.pins), with \(page.mappings) "
        + "mappings, \(pins) pins and \(gets) gets in the ledger")
  }

  @inline(never)
  private func incoherent(_ frame: FrameNumber, _ mapped: Int, _ virtual: UInt64) -> InvariantViolation {
    StepInvariant.pinCoherence.broken(
      "\(VirtualAddress(page: virtual)) is mapped to \(FrameNumber(mapped)), and pinned as \(frame)")
  }
}
