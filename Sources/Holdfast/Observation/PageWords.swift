import Interleaving

/// The words of /proc/kpageflags and /proc/kpagecount (rule 10.4).
extension Machine {
  /// The KPF_* word of a frame; only NOPAGE (bit 20) where there is none.
  ///
  /// - Kernel: fs/proc/page.c:stable_page_flags (6.1); without KSM, PG_idle, PG_uncached, PG_arch_1 and 2.
  public func kpageflags(_ frame: FrameNumber) -> UInt64 {
    guard frame.index < frameCount, blocks.block(block(of: frame)).state == .online else { return 1 << 20 }
    guard memmap.hasMetadata(frame) else { return observation.isDeferred(frame) ? 1 << 10 : 1 << 20 }
    let own = memmap.page(frame)
    let head = memmap.head(of: frame)
    let folio = memmap.page(head)
    var word: UInt64 = 0
    func set(_ bit: Int, _ condition: Bool) { if condition { word |= 1 << UInt64(bit) } }
    let carried: [(Int, PageFlags)] = [
      (0, .locked), (2, .referenced), (3, .uptodate), (4, .dirty), (5, .lru), (6, .active), (7, .slab),
      (8, .writeback), (9, .reclaim), (14, .swapBacked), (18, .unevictable), (32, .reserved), (33, .mlocked),
    ]
    let flags = folio.flags
    for (bit, flag) in carried { set(bit, flags.contains(flag)) }
    set(19, own.has(.hwpoison))
    set(34, own.has(.anonExclusive))
    set(35, flags.contains(.hasPrivate))
    set(37, flags.contains(.ownerPrivate))
    set(10, own.refcount.load() == 0 && buddy.freeChunk(covering: frame) != nil)
    set(11, folios.mappingCount(head) > 0)
    set(12, folio.mapping.isAnonymous)
    set(15, own.has(.head))
    set(16, own.isTail)
    set(17, folio.isHugetlb)
    // A driver's compound page is none.
    set(22, folio.isLarge && !folio.isHugetlb && (flags.contains(.lru) || folio.mapping.isAnonymous))
    set(23, own.type == .offline)
    set(24, frame == global.zeroPage)
    set(26, own.type == .table)
    return word
  }

  /// The mapcount of a frame, as /proc/kpagecount has it.
  ///
  /// - Kernel: fs/proc/page.c:kpagecount_read (6.1); without the file's offsets and errors.
  public func kpagecount(_ frame: FrameNumber) -> UInt64 {
    guard memmap.hasMetadata(frame) else { return 0 }
    let folio = memmap.page(memmap.head(of: frame))
    if folio.has(.slab) || memmap.page(frame).type != .none { return 0 }
    return UInt64(
      max(0, memmap.page(frame).mapcount.load() + (folio.isLarge ? folio.entireMapcount.load() : 0)))
  }
}
