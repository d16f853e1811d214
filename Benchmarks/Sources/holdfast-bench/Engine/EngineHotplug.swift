import Holdfast

extension Contender {
  /// Offline of a free 128 MiB block and online again.
  static func engineOffline(_ name: String = engine) -> Contender {
    Contender(name) {
      let engine = try EngineMachine(.bench())
      let block = BlockID(rawValue: 1)
      // The twin's descriptors are all there, so let this be a block that was in use once.
      try engine.touchBlock(block)
      return Side(unitsPerRound: 1) { _, rounds in
        for _ in 0..<rounds {
          try engine.machine.offline(block, by: engine.process())
          try engine.machine.online(block, by: engine.process())
        }
      }
    }
  }

  /// Hot-remove of a free 128 MiB block whose bytes were all touched.
  static func engineHotRemove(_ name: String = engine) -> Contender {
    Contender(name) {
      let engine = try EngineMachine(.bench(bytes: true))
      let machine = engine.machine
      let block = BlockID(rawValue: 1)
      return Side(unitsPerRound: 1, clock: .wall, fixedRounds: 1) {
        if machine.state(of: block) == .absent {
          try machine.addMemory(machine.frames(of: block), node: 0)
          try machine.online(block, by: engine.process())
        }
        try engine.touchBlock(block)
      } work: { _, _ in
        try machine.offlineAndRemove([block], by: engine.process())
      }
    }
  }

  /// Start of a machine of 1 TiB, and its end.
  static func engineStart(_ name: String = engine) -> Contender {
    Contender(name) {
      Side(unitsPerRound: 1, clock: .wall) { _, rounds in
        for _ in 0..<rounds {
          let machine = try Machine(.bench(pages: 1 << 28))
          guard machine.frameCount == 1 << 28 else { throw WorkFailed("the machine is smaller than 1 TiB") }
        }
      }
    }
  }
}

extension EngineMachine {
  /// Allocates every frame of a block once, writes to its bytes if it has any, and frees all again.
  fileprivate func touchBlock(_ block: BlockID) throws {
    let process = process()
    let range = machine.frames(of: block)
    var taken: [FrameNumber] = []
    var inside = 0
    while inside < range.count {
      let frame = try machine.allocate(order: 9, gfp: .highUserMovable, by: process)
      taken.append(frame)
      guard range.contains(frame) else { continue }
      inside += 512
      for offset in 0..<512 {
        guard let bytes = machine.bytes(of: frame + offset) else { continue }
        bytes.initializeMemory(as: UInt8.self, repeating: 1)
      }
    }
    for frame in taken { try machine.free(frame, order: 9, by: process) }
  }
}
