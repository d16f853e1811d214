import HoldfastLinux
import Testing

@Suite struct ParserTests {
  @Test("zoneinfo of other kernels parses: unknown counters, no boost and cma, CRLF, several nodes")
  func otherKernels() throws {
    let text = """
      Node 0, zone   Normal
        per-node stats
            nr_from_the_future 18446744073709551615
        pages free     7
              min      1
              low      2
              high     3
              scanned  0
              spanned  64
              present  32
              managed  30
              protection: (0, 12)
            nr_free_pages 7
        pagesets
          cpu: 0
                    count: 0
        vm stats threshold: 2
        all_unreclaimable:   0
        start_pfn:           128
        inactive_ratio:      1
      Node 1, zone   Normal
        pages free     0
              min      0
              low      0
              high     0
              spanned  0
              present  0
              managed  0
              protection: (0, 0)

      """
    let zones = try HostZone.parse(zoneinfo: text, file: "zoneinfo")
    #expect(zones.map(\.description) == ["Node 0, zone Normal", "Node 1, zone Normal"])
    #expect(zones[0].frames == 128..<192 && zones[1].frames.isEmpty)
    #expect(
      zones[0].nodeCounters == ["nr_from_the_future": .max] && zones[0].counters == ["nr_free_pages": 7])
    #expect(zones[0].protection == [0, 12] && zones[0].cpuCount == 1)
    let returns = text.replacing("\n", with: "\r\n")
    #expect(try HostZone.parse(zoneinfo: returns, file: "zoneinfo") == zones)
  }

  @Test("pagetypeinfo: capped counts are lower bounds, CMA is a type where the kernel has it")
  func pageTypes() throws {
    let text = """
      Page block order: 1
      Pages per block:  2

      Free pages count per migrate type at order       0      1
      Node    0, zone   Normal, type    Unmovable      5 >100000
      Node    0, zone   Normal, type          CMA      1      0

      Number of blocks type     Unmovable          CMA
      Node 0, zone   Normal            3            4

      """
    let types = try HostPageTypes.parse(pagetypeinfo: text, file: "pagetypeinfo")
    #expect(types.types == ["Unmovable", "CMA"])
    #expect(types.free.map(\.counts) == [[5, 100000], [1, 0]])
    #expect(types.free.map(\.cappedOrders) == [[1], []])
    #expect(types.blocks.map(\.counts) == [["Unmovable": 3, "CMA": 4]])
  }

  @Test("smaps: names with spaces, permissions, flags, and sizes that must agree with the bounds")
  func areas() throws {
    func text(size: Int) -> String {
      """
      7f0000000000-7f0000003000 rw-s 00001000 00:01 42                         /dev/shm/a b (deleted)
      Size:                 \(size) kB
      Rss:                   8 kB
      Anonymous:             4 kB
      THPeligible:           0
      VmFlags: rd wr sh mr mw me ms sd

      """
    }
    let area = try #require(try HostArea.parse(smaps: text(size: 12), file: "smaps").first)
    #expect(area.path == "/dev/shm/a b (deleted)" && area.permissions == [.read, .write, .shared])
    #expect("\(area.permissions)" == "rw-s" && area.offset == 0x1000)
    #expect((area.kibibytes, area.rss, area.anonymous, area.anonymousHuge) == (12, 8, 4, 0))
    #expect(area.flags.count == 8 && area.flags.contains("sh"))
    let wrong = readError { _ = try HostArea.parse(smaps: text(size: 16), file: "smaps") }
    #expect(
      "\(try #require(wrong))" == "smaps:1: found an area of 12 kB with 'Size: 16 kB', expected the same size"
    )
    let twice = readError { _ = try HostArea.parse(smaps: text(size: 12) + text(size: 12), file: "smaps") }
    #expect(twice?.line == 7 && twice?.expected == "a start at or after 0x7f0000003000")
    #expect(try HostArea.parse(smaps: "", file: "smaps").isEmpty)
  }

  @Test("the bits of a pagemap word")
  func pagemapWords() throws {
    let cases: [(bits: [UInt64], low: UInt64, description: String)] = [
      ([], 0, "none"), ([63], 0x40255, "pfn:0x40255 present"), ([63, 61], 0, "present file-or-shared"),
      ([62], 0x2463, "swap:3:0x123 swapped"),
      ([63, 57, 56, 55], 1, "pfn:0x1 present write-protected exclusive soft-dirty"),
    ]
    for (bits, low, description) in cases {
      let raw = bits.reduce(low) { $0 | 1 << $1 }
      let bytes = withUnsafeBytes(of: raw.littleEndian) { Array($0) }
      let words = try PagemapWord.parse(pagemap: bytes, file: "pagemap")
      #expect(words == [PagemapWord(rawValue: raw)] && words.map(\.description) == [description])
    }
    #expect(readError { _ = try PagemapWord.parse(pagemap: [1, 2, 3], file: "pagemap") }?.found == "3 bytes")
  }
}
