@testable import Holdfast

/// What the tiny machine of the tests shows, and dumps of pages.
extension ObservationTests {
  static let vmstat = """
    nr_free_pages 25
    nr_zone_inactive_anon 2
    nr_zone_active_anon 0
    nr_zone_inactive_file 0
    nr_zone_active_file 0
    nr_zone_unevictable 0
    nr_free_cma 4
    nr_inactive_anon 2
    nr_active_anon 0
    nr_inactive_file 0
    nr_active_file 0
    nr_unevictable 0
    nr_isolated_anon 0
    nr_isolated_file 0
    nr_anon_pages 2
    nr_mapped 0
    nr_file_pages 0
    nr_shmem 0
    nr_dirty 0
    nr_writeback 0
    nr_anon_transparent_hugepages 0
    nr_foll_pin_acquired 2
    nr_foll_pin_released 2
    nr_slab_unreclaimable 0
    nr_page_table_pages 4
    pgalloc_dma 0
    pgalloc_dma32 0
    pgalloc_normal 5
    pgalloc_movable 2
    pgfree 1
    pgfault 2
    pgmajfault 0
    pgmigrate_success 1
    pgmigrate_fail 0
    thp_migration_success 0
    thp_migration_fail 0
    thp_migration_split 0
    compact_migrate_scanned 0
    compact_free_scanned 0
    compact_isolated 0
    compact_stall 0
    compact_fail 0
    compact_success 0
    htlb_buddy_alloc_success 0
    htlb_buddy_alloc_fail 0
    cma_alloc_success 0
    cma_alloc_fail 0
    thp_fault_alloc 0
    thp_fault_fallback 0
    thp_split_pmd 0
    """

  static let zoneinfo = """
    Node 0, zone      DMA
      pages free     0
            boost    0
            min      0
            low      0
            high     0
            spanned  0
            present  0
            managed  0
            cma      0
            protection: (0, 0, 0, 0, 0)
    Node 0, zone    DMA32
      pages free     0
            boost    0
            min      0
            low      0
            high     0
            spanned  0
            present  0
            managed  0
            cma      0
            protection: (0, 0, 0, 0, 0)
    Node 0, zone   Normal
      per-node stats
          nr_inactive_anon 2
          nr_active_anon 0
          nr_inactive_file 0
          nr_active_file 0
          nr_unevictable 0
          nr_isolated_anon 0
          nr_isolated_file 0
          nr_anon_pages 2
          nr_mapped    0
          nr_file_pages 0
          nr_shmem     0
          nr_dirty     0
          nr_writeback 0
          nr_anon_transparent_hugepages 0
          nr_foll_pin_acquired 2
          nr_foll_pin_released 2
          nr_slab_unreclaimable 0
          nr_page_table_pages 4
      pages free     10
            boost    0
            min      0
            low      0
            high     0
            spanned  16
            present  16
            managed  15
            cma      4
            protection: (0, 0, 0, 0, 0)
          nr_free_pages 10
          nr_zone_inactive_anon 1
          nr_zone_active_anon 0
          nr_zone_inactive_file 0
          nr_zone_active_file 0
          nr_zone_unevictable 0
          nr_free_cma  4
      pagesets
        cpu: 0
                  count: 0
                  high:  4
                  batch: 1
      vm stats threshold: 2
      node_unreclaimable:  0
      start_pfn:           0
    Node 0, zone  Movable
      pages free     15
            boost    0
            min      0
            low      0
            high     0
            spanned  16
            present  16
            managed  16
            cma      0
            protection: (0, 0, 0, 0, 0)
          nr_free_pages 15
          nr_zone_inactive_anon 1
          nr_zone_active_anon 0
          nr_zone_inactive_file 0
          nr_zone_active_file 0
          nr_zone_unevictable 0
          nr_free_cma  0
      pagesets
        cpu: 0
                  count: 0
                  high:  4
                  batch: 1
      vm stats threshold: 2
      node_unreclaimable:  0
      start_pfn:           16
    """

  static let buddyinfo = """
    Node 0, zone   Normal      2      2      1      0      0 |
    Node 0, zone  Movable      1      1      1      1      0 |
    """

  static let pagetypeinfo = """
    Page block order: 2
    Pages per block:  4

    Free pages count per migrate type at order       0      1      2      3      4 |
    Node    0, zone   Normal, type    Unmovable      1      1      0      0      0 |
    Node    0, zone   Normal, type      Movable      1      1      0      0      0 |
    Node    0, zone   Normal, type  Reclaimable      0      0      0      0      0 |
    Node    0, zone   Normal, type   HighAtomic      0      0      0      0      0 |
    Node    0, zone   Normal, type          CMA      0      0      1      0      0 |
    Node    0, zone   Normal, type      Isolate      0      0      0      0      0 |
    Node    0, zone  Movable, type    Unmovable      0      0      0      0      0 |
    Node    0, zone  Movable, type      Movable      1      1      1      1      0 |
    Node    0, zone  Movable, type  Reclaimable      0      0      0      0      0 |
    Node    0, zone  Movable, type   HighAtomic      0      0      0      0      0 |
    Node    0, zone  Movable, type          CMA      0      0      0      0      0 |
    Node    0, zone  Movable, type      Isolate      0      0      0      0      0 |

    Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic          CMA      Isolate |
    Node 0, zone   Normal            2            1            0            0            1            0 |
    Node 0, zone  Movable            0            4            0            0            0            0 |
    """

  /// An anonymous page, and the second page of a huge one, each pinned.
  static let dumps: [String: [PageKind: String]] = {
    var dumps: [String: [PageKind: String]] = [:]
    for name in ["linux-5.5"] {
      dumps[name] = [
        .anonymous: """
        page:00000000f477a05e refcount:2 mapcount:1 mapping:00000000f983ccb3 index:0xfc
        anon flags: 0x17ffffc0080016(referenced|uptodate|lru|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        """,
        .hugePMD: """
        page:00000000c5dbe9f4 refcount:0 mapcount:1 mapping:000000008926f1ce index:0xf9 compound_mapcount: 1
        anon flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
        """,
      ]
    }
    for name in ["pin-bias"] {
      dumps[name] = [
        .anonymous: """
        page:00000000f477a05e refcount:1025 mapcount:1 mapping:00000000f983ccb3 index:0xfc
        anon flags: 0x17ffffc0080016(referenced|uptodate|lru|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        """,
        .hugePMD: """
        page:00000000c5dbe9f4 refcount:0 mapcount:1 mapping:000000008926f1ce index:0xf9 compound_mapcount: 1
        anon flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
        """,
      ]
    }
    for name in ["pin-exact"] {
      dumps[name] = [
        .anonymous: """
        page:00000000f477a05e refcount:1025 mapcount:1 mapping:00000000f983ccb3 index:0xfc
        anon flags: 0x17ffffc0080016(referenced|uptodate|lru|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        """,
        .hugePMD: """
        page:00000000c5dbe9f4 refcount:0 head refcount:3 mapcount:1 mapping:000000008926f1ce index:0xf9 compound_mapcount:1 compound_pincount:2
        anon flags: 0x17ffffc0000000(node=0|zone=2|lastcpupid=0x1fffff)
        """,
      ]
    }
    for name in ["linux-5.10", "movable-v3", "movable-v4", "linux-5.13"] {
      dumps[name] = [
        .anonymous: """
        page:00000000f477a05e refcount:1025 mapcount:1 mapping:0000000000000000 index:0xfc pfn:0x1
        anon flags: 0x17ffffc0080016(referenced|uptodate|lru|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        raw: 0017ffffc0080016 00000000ffffffff 0000000000000002 0000000000000005
        raw: 00000000000000fc 0000000000000000 0000040100000000 0000000000000000
        """,
        .hugePMD: """
        page:00000000c5dbe9f4 refcount:3 mapcount:1 mapping:0000000000000000 index:0xf9 pfn:0x9
        head:00000000eb5a1630 order:2 compound_mapcount:1 compound_pincount:2
        anon flags: 0x17ffffc0090016(referenced|uptodate|lru|head|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        raw: 0017ffffc0000000 0000000000000000 0000000000000000 0000000000000000
        raw: 0000000000000000 0000000000000000 00000000ffffffff 0000000000000000
        head: 0017ffffc0090016 0000000000000004 00000000ffffffff 0000000000000009
        head: 00000000000000f8 0000000000000000 00000003ffffffff 0000000000000000
        """,
      ]
    }
    for name in ["linux-6.1"] {
      dumps[name] = [
        .anonymous: """
        page:00000000f477a05e refcount:1025 mapcount:1 mapping:0000000000000000 index:0xfc pfn:0x1
        anon flags: 0x17ffffc00a0016(referenced|uptodate|lru|mappedtodisk|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        raw: 0017ffffc00a0016 00000000ffffffff 0000000000000002 0000000000000005
        raw: 00000000000000fc 0000000000000000 0000040100000000 0000000000000000
        """,
        .hugePMD: """
        page:00000000c5dbe9f4 refcount:3 mapcount:1 mapping:0000000000000000 index:0xf9 pfn:0x9
        head:00000000eb5a1630 order:2 compound_mapcount:1 compound_pincount:2
        anon flags: 0x17ffffc00b0016(referenced|uptodate|lru|head|mappedtodisk|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        raw: 0017ffffc0000000 0000000000000000 0000000000000000 0000000000000000
        raw: 0000000000000000 0000000000000000 00000000ffffffff 0000000000000000
        head: 0017ffffc00b0016 0000000000000004 00000000ffffffff 0000000000000009
        head: 00000000000000f8 0000000000000000 00000003ffffffff 0000000000000000
        """,
      ]
    }
    for name in ["linux-6.14", "linux-mainline"] {
      dumps[name] = [
        .anonymous: """
        page: refcount:1025 mapcount:1 mapping:0000000000000000 index:0xfc pfn:0x1
        anon flags: 0x17ffffc00a0016(referenced|uptodate|lru|mappedtodisk|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        raw: 0017ffffc00a0016 00000000ffffffff 0000000000000002 0000000000000005
        raw: 00000000000000fc 0000000000000000 0000040100000000 0000000000000000
        """,
        .hugePMD: """
        page: refcount:3 mapcount:1 mapping:0000000000000000 index:0xf9 pfn:0x9
        head: order:2 mapcount:1 entire_mapcount:1 nr_pages_mapped:0 pincount:2
        anon flags: 0x17ffffc00b0016(referenced|uptodate|lru|head|mappedtodisk|swapbacked|node=0|zone=2|lastcpupid=0x1fffff)
        raw: 0017ffffc0000000 0000000000000000 0000000000000000 0000000000000000
        raw: 0000000000000000 0000000000000000 00000000ffffffff 0000000000000000
        head: 0017ffffc00b0016 0000000000000004 00000000ffffffff 0000000000000009
        head: 00000000000000f8 0000000000000000 00000003ffffffff 0000000000000000
        """,
      ]
    }
    return dumps
  }()
}
