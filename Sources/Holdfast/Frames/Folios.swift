import Interleaving

/// Folios: their references, what is pinned of them, and their contents.
package struct Folios: Room {
  package let machine: Machine
}

extension Room {
  /// References and contents of folios.
  @inline(__always)
  package var folios: Folios { Folios(machine: machine) }
}

extension Folios {
  /// Mappings of a folio: whole ones and those of single pages.
  ///
  /// - Kernel: mm/util.c:folio_mapcount (6.1); without the encoding of PG_double_map and of compound file
  ///   mappings.
  package func mappingCount(_ head: FrameNumber) -> Int {
    let folio = memmap.page(head)
    if !folio.isLarge { return Int(folio.mapcount.load(.relaxed)) }
    var sum = Int(folio.entireMapcount.load(.relaxed))
    for i in 0..<memmap.folioPages(head) { sum += Int(memmap.page(head + i).mapcount.load(.relaxed)) }
    return sum
  }

  /// Whether no page of a folio is mapped by two entries.
  ///
  /// - Kernel: mm/huge_memory.c:page_trans_huge_mapcount (5.10); without the encoding of PG_double_map.
  package func isMappedOnce(_ head: FrameNumber) -> Bool {
    let folio = memmap.page(head)
    var most: Int32 = 0
    for i in 0..<memmap.folioPages(head) { most = max(most, memmap.page(head + i).mapcount.load()) }
    return most + folio.entireMapcount.load() <= 1
  }

  /// Whether a folio may be pinned for DMA; never false for a pinned one.
  ///
  /// The answer is exact for folios that count their pins exactly. For others it is true from 1024 references
  /// on, so that 1024 ordinary references are mistaken for a pin. The comparison is unsigned: a count that
  /// has overflowed counts as pinned.
  ///
  /// - Kernel: include/linux/mm.h:folio_maybe_dma_pinned (6.1)
  /// - Kernel: include/linux/mm.h:page_maybe_dma_pinned (6.1)
  package func isMaybePinned(_ head: FrameNumber) -> Bool {
    let folio = memmap.page(head)
    if !pinRules.isTracked { return false }
    if pinRules.countsExactly(folio) { return folio.pincount.load() > 0 }
    return UInt32(bitPattern: folio.refcount.load(.sequential)) >= UInt32(bitPattern: pinRules.bias)
  }

  /// Whether a long-term pin may stay on a frame under the policy.
  ///
  /// - Kernel: include/linux/mm.h:is_longterm_pinnable_page (6.1); without device-coherent pages; the
  ///   pageblock and the zone of the head are asked, in the kernel those of the page.
  /// - Kernel: include/linux/mm.h:folio_is_longterm_pinnable (6.1); without device-coherent pages.
  package func isLongtermPinnable(_ frame: FrameNumber) -> Bool {
    let head = memmap.head(of: frame)
    return pinRules.mayStay(
      frame, inBlockOf: buddy.pageblockTypeNumber(of: head),
      flagWord: memmap.page(head).flagWord.load(.relaxed))
  }
}
