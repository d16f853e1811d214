import Interleaving

/// What the machine shows of itself, in the kernel's own text (rules 10.1 to 10.3).
extension Machine {
  /// /proc/vmstat: the counters that the machine keeps, by name.
  public var vmstat: [(name: String, value: UInt64)] {
    var rows: [(String, UInt64)] = [("nr_free_pages", sum(zones.map { buddy.zone($0).free.load() }))]
    for list in LRUList.allCases {
      rows.append((list.zoneCounterName, sum(zones.map { UInt64(max(0, total(list, zone: $0))) })))
    }
    rows.append(("nr_free_cma", sum(zones.map { buddy.zone($0).freeCMA.load() })))
    for counter in NodeCounter.allCases {
      rows.append((counter.kernelName, UInt64(max(0, total(counter, node: nil)))))
    }
    for event in EventCounter.allCases {
      if let name = event.kernelName { rows.append((name, total(event))) }
    }
    return rows
  }

  /// /proc/vmstat as text.
  ///
  /// - Kernel: mm/vmstat.c:vmstat_show (6.1); without counters that no rule of the engine changes.
  public var vmstatText: String { vmstat.map { "\($0.name) \($0.value)\n" }.joined() }

  /// One LRU list's count of one zone.
  package func total(_ list: LRUList, zone: ZoneID) -> Int64 {
    var sum: UInt64 = 0
    for index in 0..<configuration.processors {
      sum &+= processor(index).count(list, zone: zone).load(.relaxed)
    }
    return Int64(bitPattern: sum)
  }

  /// /proc/zoneinfo.
  ///
  /// - Kernel: mm/vmstat.c:zoneinfo_show_print (6.1); without counters that no rule of the engine changes, NUMA
  ///   events.
  public var zoneinfoText: String {
    var text = ""
    for node in configuration.nodes.indices {
      var statistics = true
      for kind in ZoneKind.allCases where kind != .device {
        let id = ZoneID(node: node, kind: kind)
        text += "Node \(node), zone \(Self.padded("\(kind)", 8))\n"
        if statistics, buddy.zone(id).isPopulated {
          text += nodeStatistics(node)
          statistics = false
        }
        text += zoneStatistics(id)
      }
    }
    return text
  }

  /// /proc/buddyinfo: free chunks of each order, whatever their type.
  ///
  /// Free memory whose metadata does not exist yet counts as blocks of the largest order.
  ///
  /// - Kernel: mm/vmstat.c:frag_show_print (6.1)
  public var buddyinfoText: String {
    zones.map { id in
      "Node \(id.node), zone \(Self.padded("\(id.kind)", 8)) "
        + (0...geometry.maxOrder).map { order in
          let blocks = MigrateType.allCases.reduce(0) { $0 + freeBlocks(id, order, $1) }
          return Self.padded("\(blocks)", 6) + " "
        }.joined() + "\n"
    }.joined()
  }

  /// /proc/pagetypeinfo.
  ///
  /// - Kernel: mm/vmstat.c:pagetypeinfo_showfree_print (6.1)
  /// - Kernel: mm/vmstat.c:pagetypeinfo_show (6.1); without the count of mixed pageblocks.
  public var pagetypeinfoText: String {
    let types = MigrateType.allCases
    var text =
      "Page block order: \(geometry.pageblockOrder)\nPages per block:  \(geometry.pageblockFrames)\n\n"
    text += Self.trailing("Free pages count per migrate type at order", 43) + " "
    text += (0...geometry.maxOrder).map { Self.padded("\($0)", 6) + " " }.joined() + "\n"
    for id in zones {
      for type in types {
        text +=
          "Node \(Self.padded("\(id.node)", 4)), zone \(Self.padded("\(id.kind)", 8)), "
          + "type \(Self.padded("\(type)", 12)) "
        for order in 0...geometry.maxOrder {
          let blocks = freeBlocks(id, order, type)
          text += Self.padded(blocks >= 100_000 ? ">100000" : "\(blocks)", 6) + " "
        }
        text += "\n"
      }
    }
    text += "\n" + Self.trailing("Number of blocks type ", 23)
    text += types.map { Self.padded("\($0)", 12) + " " }.joined() + "\n"
    for id in zones {
      let counts = pageblockCounts(id)
      text += "Node \(id.node), zone \(Self.padded("\(id.kind)", 8)) "
      text += types.map { Self.padded("\(counts[Int($0.number)])", 12) + " " }.joined() + "\n"
    }
    return text
  }

  /// Pageblocks of each type in a zone, by `MigrateType.number`.
  ///
  /// - Kernel: mm/vmstat.c:pagetypeinfo_showblockcount_print (6.1)
  public func pageblockCounts(_ id: ZoneID) -> [Int] {
    var counts = [Int](repeating: 0, count: MigrateType.allCases.count)
    let span = buddy.zone(id).span
    var index = span.start.index & ~(geometry.pageblockFrames - 1)
    while index < span.endIndex {
      let frame = FrameNumber(max(index, span.start.index))
      if blocks.zoneOf(frame) == id { counts[Int(buddy.pageblockType(of: frame).number)] += 1 }
      index += geometry.pageblockFrames
    }
    return counts
  }

  private func freeBlocks(_ id: ZoneID, _ order: Int, _ type: MigrateType) -> Int {
    let zone = buddy.zone(id)
    let listed = zone.lock.withLock { zone.freeList(order: order, type).count }
    guard order == geometry.maxOrder, type == .movable else { return listed }
    return listed + Int(zone.deferred.load()) >> order
  }

  private func nodeStatistics(_ node: Int) -> String {
    "  per-node stats\n"
      + NodeCounter.allCases.map {
        "      \(Self.trailing($0.kernelName, 12)) \(max(0, total($0, node: node)))\n"
      }.joined()
  }

  private func zoneStatistics(_ id: ZoneID) -> String {
    let zone = buddy.zone(id)
    let span = zone.span
    var text = "  pages free     \(zone.free.load())\n        boost    0\n"
    for (i, name) in ["min", "low", "high"].enumerated() {
      text += "        \(Self.trailing(name, 8)) \(zone.watermark(i).load())\n"
    }
    text += "        spanned  \(span.count)\n        present  \(zone.present.load())\n"
    text += "        managed  \(zone.managed.load())\n        cma      \(zone.cma.load())\n"
    let protection = ZoneKind.allCases.map { "\(zone.protection($0).load())" }.joined(separator: ", ")
    text += "        protection: (\(protection))\n"
    guard zone.isPopulated else { return text }
    text += "      nr_free_pages \(zone.free.load())\n"
    for list in LRUList.allCases {
      text += "      \(Self.trailing(list.zoneCounterName, 12)) \(max(0, total(list, zone: id)))\n"
    }
    text += "      nr_free_cma  \(zone.freeCMA.load())\n  pagesets\n"
    for index in 0..<configuration.processors {
      let lists = allocator.perCPULists(index, id)
      text += "    cpu: \(index)\n              count: \(lists.lock.withLock { lists.count })\n"
      text +=
        "              high:  \(zone.perCPUHigh.load())\n              batch: \(zone.perCPUBatch.load())\n"
      text += "  vm stats threshold: \(statisticsThreshold(zone))\n"
    }
    return text + "  node_unreclaimable:  0\n  start_pfn:           \(span.start.index)\n"
  }

  /// What a processor counts for itself before it adds to the zone's counts: shown for readers of the text only, since
  /// here every processor's counts are added up when asked for.
  ///
  /// - Kernel: mm/vmstat.c:calculate_normal_threshold (6.1)
  private func statisticsThreshold(_ zone: Zone) -> Int {
    func bits(_ number: Int) -> Int { Int.bitWidth - number.leadingZeroBitCount }
    return min(125, 2 * bits(configuration.processors) * (1 + bits(Int(zone.managed.load()) >> 15)))
  }

  private func sum(_ values: [UInt64]) -> UInt64 { values.reduce(0, &+) }

  static func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  static func trailing(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
