import Holdfast
import Interleaving

/// One page descriptor.
extension StepChecks {
  /// The breach that an operation on a word of a descriptor causes, if any.
  @inline(__always)
  func page(_ frame: Int, word: Int, _ kind: PointKind, by actor: Int) -> InvariantViolation? {
    let page = map.page(frame)
    let references = page.references
    let mappings = page.mappings
    if references < 0 || mappings < 0 || page.wholeMappings < 0 || page.pins < 0 {
      let isFull = mappings >= 0 && page.pins >= 0 && hasOverflowed(page, holds(frame, page).pins)
      return isFull ? nil : negative(frame)
    }
    if page.isOf(.none) {
      if references > 0 || mappings > 0,
        map.blockState(frame) == BlockState.offline.number || isInFreeChunk(frame)
      {
        return misplaced(frame)
      }
    } else if page.isOf(.buddy) || page.isOf(.perCPU) {
      if UInt32(bitPattern: references | mappings) | UInt32(bitPattern: page.wholeMappings | page.pins) != 0 {
        return misplaced(frame)
      }
      return nil
    } else {
      if page.isOf(.table), isMovable(frame) { return tableMisplaced(frame) }
      return nil
    }
    if page.headOffset != 0 || page.isLarge {
      if let found = folio(frame - page.headOffset) { return found }
    } else {
      if mappings > references { return tooManyMappings(frame, Int(mappings)) }
      if page.pins != 0 { return tooManyPins(frame) }
    }
    switch word {
    case PageRow.refcount.offset:
      if kind == .store, references == 1, policy.scopeClearsMovable, isScopeBroken(frame, actor) {
        return scopeMisplaced(frame)
      }
      return releasing == 0 ? held(frame) : nil
    case PageRow.flags.offset: return flags(frame, page, kind)
    case PageRow.contentTag.offset:
      return frame == map.zeroPage && page.contentTag != Folios.zeroPattern ? writtenZeros() : nil
    default: return nil
    }
  }

  /// The flag word.
  private func flags(_ frame: Int, _ page: RawPage, _ kind: PointKind) -> InvariantViolation? {
    let flags = page.flags
    if flags.contains(.lru), page.references == 0 { return listedUnreferenced(frame) }
    if policy.tracksExclusive, map.page(frame &- page.headOffset).isAnonymous {
      if flags.contains(.anonExclusive) {
        if page.mappings > 1 || page.wholeMappings > 1 { return mappedTwice(frame) }
      } else if page.mappings | page.wholeMappings != 0, let found = writableEntry(of: frame) {
        return writableShared(frame, found)
      }
    }
    if kind == .release, !flags.contains(.locked), let table = migrationEntry(of: frame) {
      return StepInvariant.migratingIsLocked.broken(
        "\(FrameNumber(frame)) is unlocked, and a migration entry in table page \(table) names it")
    }
    return nil
  }

  /// The counts of a large folio, given its head.
  private func folio(_ head: Int) -> InvariantViolation? {
    let page = map.page(head)
    guard page.isLarge, page.isOf(.none) else { return nil }
    let pages = 1 &<< page.order
    var small: Int32 = 0
    for i in 0..<pages { small &+= map.page(head &+ i).mappings }
    let whole = page.wholeMappings
    // While a whole mapping becomes one of each page, both are counted for a moment; that of a parent and that of its
    // child may do so at the same time.
    let twice = min(whole, small / Int32(truncatingIfNeeded: pages))
    if small &+ whole &- twice > page.references { return tooManyMappings(head, Int(small &+ whole)) }
    if page.pins > page.references || page.pins > 0 && page.order < leastExactOrder {
      return tooManyPins(head)
    }
    return nil
  }

  /// Whether a frame that has a reference or a mapping lies in a free chunk.
  @inline(__always)
  private func isInFreeChunk(_ frame: Int) -> Bool {
    var order = 1
    while order <= map.maxOrder {
      let head = frame & ~(1 &<< order &- 1)
      if head != frame {
        let page = map.page(head)
        if page.isOf(.buddy) || page.isOf(.perCPU), page.order >= order { return true }
      }
      order &+= 1
    }
    return false
  }

  /// Whether the frame is in ZONE_MOVABLE or a CMA pageblock.
  @inline(__always)
  func isMovable(_ frame: Int) -> Bool {
    PageFlags.zoneKind(of: map.page(frame).flagWord) == ZoneKind.movable.number
      || map.pageblockType(frame) == MigrateType.cma.number
  }

  /// Whether an actor in a pin scope has just got a frame where none in its scope may be.
  private func isScopeBroken(_ frame: Int, _ actor: Int) -> Bool {
    // A locked page is not new; its references were frozen.
    guard actor < processes.count, !map.page(frame).flags.contains(.locked), isMovable(frame) else {
      return false
    }
    return processes[actor]?.unannouncedScope.contains(.pin) ?? false
  }

  // MARK: - Breaches

  @inline(never)
  private func negative(_ frame: Int) -> InvariantViolation {
    let page = map.page(frame)
    return StepInvariant.countsNotNegative.broken(
      "\(FrameNumber(frame)) has \(page.references) references, \(page.mappings) and \(page.wholeMappings) "
        + "mappings, \(page.pins) pins")
  }

  @inline(never)
  private func misplaced(_ frame: Int) -> InvariantViolation {
    let page = map.page(frame)
    let counts = "\(page.references) references, \(page.mappings) mappings and \(page.pins) pins"
    if map.blockState(frame) == BlockState.offline.number {
      return StepInvariant.offlineIsUnused.broken(
        "\(FrameNumber(frame)) in an offline block has \(counts)")
    }
    return StepInvariant.freeNotInUse.broken("\(FrameNumber(frame)) is free with \(counts)")
  }

  @inline(never)
  private func tableMisplaced(_ frame: Int) -> InvariantViolation {
    StepInvariant.tablePlacement.broken("\(FrameNumber(frame)) holds a page table and is movable")
  }

  @inline(never)
  private func tooManyMappings(_ frame: Int, _ mappings: Int) -> InvariantViolation {
    StepInvariant.mappingsAreReferences.broken(
      "\(FrameNumber(frame)) has \(mappings) mappings and \(map.page(frame).references) references")
  }

  @inline(never)
  private func tooManyPins(_ frame: Int) -> InvariantViolation {
    let page = map.page(frame)
    return StepInvariant.pinsAreReferences.broken(
      "\(FrameNumber(frame)) of order \(page.isLarge ? page.order : 0) has pincount \(page.pins) and "
        + "\(page.references) references")
  }

  @inline(never)
  private func scopeMisplaced(_ frame: Int) -> InvariantViolation {
    StepInvariant.scopePlacement.broken("\(FrameNumber(frame)) is allocated in a pin scope, and movable")
  }

  @inline(never)
  private func listedUnreferenced(_ frame: Int) -> InvariantViolation {
    StepInvariant.listedIsReferenced.broken("\(FrameNumber(frame)) has PG_lru and no reference")
  }

  @inline(never)
  private func mappedTwice(_ frame: Int) -> InvariantViolation {
    StepInvariant.exclusiveOnce.broken(
      "\(FrameNumber(frame)) is exclusive and mapped \(max(map.page(frame).mappings, map.page(frame).wholeMappings)) "
        + "times")
  }

  @inline(never)
  func writableShared(_ frame: Int, _ table: Int) -> InvariantViolation {
    StepInvariant.writableIsExclusive.broken(
      "\(FrameNumber(frame)) is mapped writable by table page \(table), and not exclusive")
  }

  @inline(never)
  private func writtenZeros() -> InvariantViolation {
    StepInvariant.zeroPageIsZero.broken("the zero page was written")
  }
}
