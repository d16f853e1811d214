import CTwin

/// Pages of the zone that the allocation rows work in: 1 GiB.
let zonePages = 262_144

/// Pages of a memory block: 128 MiB.
let blockPages = 32_768

/// A C twin's zone, with an array of frames per thread.
final class TwinZone: @unchecked Sendable {
  let zone: OpaquePointer
  private let frames: [UnsafeMutablePointer<UInt32>]

  /// Of two CPUs, whether one thread uses it or two, since the sizes of the per-CPU lists follow from that.
  init(pages: Int) throws {
    guard let zone = twin_zone_create(UInt32(pages), 2) else {
      throw Unavailable("no memory for a twin of \(pages) pages")
    }
    self.zone = zone
    frames = (0..<2).map { _ in .allocate(capacity: 4096) }
  }

  deinit {
    twin_zone_destroy(zone)
    for pointer in frames {
      pointer.deallocate()
    }
  }

  /// Allocates `count` blocks, then frees them, `rounds` times.
  func allocate(order: Int, count: Int, thread: Int, rounds: Int) throws {
    let got = twin_alloc_rounds(
      zone, UInt32(thread), UInt32(order), UInt32(count), UInt64(rounds), frames[thread])
    guard got == count * rounds else { throw WorkFailed("allocated \(got) of \(count * rounds) blocks") }
  }
}

extension Contender {
  /// Allocate `count` blocks of `order` and free them, on every thread at once.
  static func allocationTwin(
    _ name: String = "C twin", order: Int, count: Int, threads: Int = 1
  ) -> Contender {
    Contender(name) {
      let zone = try TwinZone(pages: zonePages)
      return Side(unitsPerRound: count, threads: threads) { thread, rounds in
        try zone.allocate(order: order, count: count, thread: thread, rounds: rounds)
      }
    }
  }
}
