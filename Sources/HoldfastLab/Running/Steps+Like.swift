import Holdfast
import HoldfastLinux
import HoldfastScenario

/// A region with the layout of a live process.
extension Stage {
  /// Most pages that such a region may have: 64 GiB.
  private static let likeLimit = 1 << 24

  /// Maps what a process of this host has mapped, and touches what is resident there.
  ///
  /// The areas follow each other in one region, private and anonymous; where the host has huge pages, so
  /// does the region.
  func mapLike(_ id: Int, by process: Process, name: String) throws(StepStop) -> Region {
    let host = HostProcess(id: Int32(clamping: id))
    let areas: [HostArea]
    do { areas = try host.areas() } catch { throw StepStop.failed(.ESRCH, .argument, "\(error)") }
    let pages = areas.reduce(0) { $0 + Int($1.end - $1.start) / pageSize }
    guard pages > 0 else { throw StepStop.failed(.ESRCH, .argument, "process \(id) has no memory") }
    guard pages <= Self.likeLimit else {
      throw StepStop.failed(
        .ENOMEM, .argument, "process \(id) has mapped \(pages) pages, which is too many")
    }
    let base = try mapping(process, pages, .privateAnonymous, [.read, .write], populate: false)
    var address = base
    for area in areas {
      let size = Int(area.end - area.start) / pageSize
      if area.anonymousHuge + area.sharedHuge > 0 {
        try failing { () throws(AddressSpaceError) in
          try machine.advise(process, AddressRange(start: address, pages: size), .hugePage)
        }
      }
      try populate(process, address, size, host, area)
      address = address + UInt64(size * pageSize)
    }
    return Region(process: name, address: base, pages: pages, object: nil)
  }

  private func populate(
    _ process: Process, _ address: VirtualAddress, _ pages: Int, _ host: HostProcess, _ area: HostArea
  ) throws(StepStop) {
    guard area.rss > 0 else { return }
    let words: [PagemapWord]
    do { words = try host.pagemap(area.start..<area.end) } catch {
      throw StepStop.failed(.EACCES, .argument, "\(error)")
    }
    for (index, word) in words.prefix(pages).enumerated() where word.isPresent {
      let place = address + UInt64(index * pageSize)
      _ = try failing { () throws(AddressSpaceError) in try machine.touch(process, place, write: true) }
    }
  }
}
