/// A copy of all changing state of a machine, to which the machine can be put back.
///
/// For explored machines, whose tables are small.
package final class MachineImage {
  private typealias Line = SIMD8<UInt64>

  private let machine: Machine
  private let bytes: UnsafeMutableRawPointer
  private let lines: Int
  /// The lines that `difference` found to differ, while nothing has changed since.
  private let differing: UnsafeMutablePointer<Int32>
  private var differingCount: Int?

  /// Copies the state; no thread may act on the machine meanwhile.
  package init(of machine: Machine) {
    self.machine = machine
    lines = machine.layout.size / MemoryLayout<Line>.size
    bytes = .allocate(byteCount: machine.layout.size, alignment: 64)
    bytes.copyMemory(from: machine.arena, byteCount: machine.layout.size)
    differing = .allocate(capacity: lines)
  }

  deinit {
    bytes.deallocate()
    differing.deallocate()
  }

  /// Puts the machine back; no thread may act on it meanwhile.
  ///
  /// Pins that were taken since have no record any more, so that dropping them does nothing.
  package func restore() {
    guard let count = differingCount else {
      machine.arena.copyMemory(from: bytes, byteCount: machine.layout.size)
      return
    }
    differingCount = nil
    for place in 0..<count {
      let offset = Int(differing[place]) &* MemoryLayout<Line>.size
      (machine.arena + offset).storeBytes(of: (bytes + offset).load(as: Line.self), as: Line.self)
    }
  }

  /// A hash of the state, by where and how it differs from the image: equal for equal states.
  ///
  /// - Parameter isLast: whether nothing acts on the machine any more before `restore`, which then puts back only
  ///   what differs.
  package func difference(isLast: Bool = false) -> UInt64 {
    let now = UnsafeRawPointer(machine.arena)
    let before = UnsafeRawPointer(bytes)
    var hash: UInt64 = 0x9e37_79b9_7f4a_7c15
    var count = 0
    var first = 0
    // The state is whole pages, so lines come by fours.
    while first < lines {
      let offset = first &* MemoryLayout<Line>.size
      var changed = Line()
      for place in 0..<4 {
        let at = offset &+ place &* MemoryLayout<Line>.size
        changed |= (now + at).load(as: Line.self) ^ (before + at).load(as: Line.self)
      }
      if Self.isZero(changed) {
        first &+= 4
        continue
      }
      for place in first..<(first &+ 4) {
        let offset = place &* MemoryLayout<Line>.size
        let line = (now + offset).load(as: Line.self)
        if Self.isZero(line ^ (before + offset).load(as: Line.self)) { continue }
        differing[count] = Int32(truncatingIfNeeded: place)
        count &+= 1
        hash = Self.mix(hash ^ UInt64(truncatingIfNeeded: place), line[0] ^ 0xa076_1d64_78bd_642f)
        let rest =
          Self.mix(line[1] ^ 0xe703_7ed1_a0b4_28db, line[2] ^ hash)
          ^ Self.mix(line[3] ^ 0x8ebc_6af0_9c88_c6e3, line[4] ^ hash)
        hash =
          Self.mix(line[5] ^ rest, line[6] ^ hash) ^ Self.mix(line[7] ^ 0x5899_65cc_7537_4cc3, rest ^ hash)
      }
      first &+= 4
    }
    differingCount = isLast ? count : nil
    return hash
  }

  @inline(__always)
  private static func isZero(_ line: Line) -> Bool {
    let half = line.lowHalf | line.highHalf
    let quarter = half.lowHalf | half.highHalf
    return quarter[0] | quarter[1] == 0
  }

  @inline(__always)
  private static func mix(_ one: UInt64, _ other: UInt64) -> UInt64 {
    let product = one.multipliedFullWidth(by: other)
    return product.high ^ product.low
  }
}

extension Machine {
  /// Bytes of all changing state: what a copy of it takes.
  package var stateSize: Int { layout.size }

  /// All changing state, as it is now.
  package var state: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: arena, count: layout.size) }

  /// Bytes of all changing state of a machine that is not made yet.
  package static func stateSize(of configuration: MachineConfiguration) throws(ConfigurationError) -> Int {
    TableLayout(configuration, frameCount: try ZonePlan(configuration).frameCount).size
  }
}
