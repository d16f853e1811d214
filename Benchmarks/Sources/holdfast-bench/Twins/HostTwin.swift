import CTwin

/// A memory block's bytes, made before each sample and given back in it.
private final class BlockStore: @unchecked Sendable {
  private var store = twin_block_store(descriptor: -1, window: nil, bytes: 0)

  deinit {
    if store.descriptor >= 0 {
      _ = twin_block_store_release(&store)
    }
  }

  /// A new memfd of 128 MiB, every page of it touched.
  func open() throws {
    if store.descriptor >= 0 {
      try release()
    }
    let error = twin_block_store_open(&store, blockPages * 4096, true)
    guard error == 0 else { throw WorkFailed("a memfd of 128 MiB: errno \(error)") }
  }

  func release() throws {
    let error = twin_block_store_release(&store)
    guard error == 0 else { throw WorkFailed("releasing a memfd of 128 MiB: errno \(error)") }
  }
}

extension Contender {
  /// Offline of a free 128 MiB block and online again.
  static func offlineTwin(_ name: String = "C twin") -> Contender {
    Contender(name) {
      let zone = try TwinZone(pages: zonePages)
      let first = UInt32(blockPages)
      return Side(unitsPerRound: 1) { _, rounds in
        for _ in 0..<rounds {
          guard twin_offline(zone.zone, first, first) == 0 else {
            throw WorkFailed("the twin's block did not go offline")
          }
          twin_online(zone.zone, first, first)
        }
      }
    }
  }

  /// Hot-remove of a free, touched 128 MiB block: offline, then its memfd unmapped, sealed and closed.
  static func hotRemoveTwin(_ name: String = "C twin") -> Contender {
    Contender(name) {
      let zone = try TwinZone(pages: zonePages)
      let store = BlockStore()
      let first = UInt32(blockPages)
      let removed = Flag()
      return Side(unitsPerRound: 1, clock: .wall, fixedRounds: 1) {
        if removed.isSet {
          twin_online(zone.zone, first, UInt32(blockPages))
          removed.isSet = false
        }
        try store.open()
      } work: { _, _ in
        guard twin_offline(zone.zone, first, UInt32(blockPages)) == 0 else {
          throw WorkFailed("the twin's block did not go offline")
        }
        removed.isSet = true
        try store.release()
      }
    }
  }

  /// What the host alone takes to free such a block's bytes.
  static func hostRelease(_ name: String = "host alone") -> Contender {
    Contender(name) {
      let store = BlockStore()
      return Side(unitsPerRound: 1, clock: .wall, fixedRounds: 1) {
        try store.open()
      } work: { _, _ in
        try store.release()
      }
    }
  }

  /// memcpy, page by page, of runs of 512 pages from one memfd window of 64 MiB to another.
  static func memoryCopy(_ name: String = "memcpy") -> Contender {
    Contender(name) {
      let windows = try CopyWindows(pages: 16_384)
      return Side(unitsPerRound: 512) { _, rounds in
        windows.copy(run: 512, rounds: rounds)
      }
    }
  }

  /// Reserves the metadata of a machine of 1 TiB and marks its sections.
  static func startTwin(_ name: String = "C twin") -> Contender {
    Contender(name) {
      Side(unitsPerRound: 1, clock: .wall) { _, rounds in
        for _ in 0..<rounds {
          guard let machine = twin_machine_start(1 << 40) else {
            throw WorkFailed("the twin could not reserve a machine of 1 TiB")
          }
          twin_machine_stop(machine)
        }
      }
    }
  }
}

/// A mutable flag of one measuring thread.
private final class Flag: @unchecked Sendable {
  var isSet = false
}

/// Two windows and a position that moves through them, so that no run is in the cache from the last time.
private final class CopyWindows: @unchecked Sendable {
  private var source = twin_block_store(descriptor: -1, window: nil, bytes: 0)
  private var destination = twin_block_store(descriptor: -1, window: nil, bytes: 0)
  private let pages: Int
  private var next = 0

  init(pages: Int) throws {
    self.pages = pages
    guard
      twin_block_store_open(&source, pages * 4096, true) == 0,
      twin_block_store_open(&destination, pages * 4096, true) == 0
    else { throw Unavailable("no memory for two memfd windows of \(pages) pages") }
  }

  deinit {
    for var store in [source, destination] where store.descriptor >= 0 {
      _ = twin_block_store_release(&store)
    }
  }

  func copy(run: Int, rounds: Int) {
    for _ in 0..<rounds {
      let offset = next * 4096
      twin_copy_pages(destination.window + offset, source.window + offset, UInt32(run))
      next = (next + run) % pages
    }
  }
}
