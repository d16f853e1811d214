import CAllocationCounter
import Interleaving
import Testing

@testable import Holdfast

/// Heap allocations on the fast path of a pin.
@Suite struct PinAllocationTests {
  @Test("pinning and unpinning resident pages allocates nothing (design: numbers to build for)")
  func none() throws {
    guard hf_counts_allocations() else {
      print("skipped: allocations are not counted under a sanitizer")
      return
    }
    #if DEBUG
    guard isExplored else {
      print(
        "skipped: unoptimised generic code allocates; the explored twin is optimised and shows the same path")
      return
    }
    #endif
    let rig = try PinRig(frames: 4096) {
      $0.geometry = Geometry()
      $0.geometry.sectionOrder = 12
      $0.geometry.blockOrder = 12
    }
    let small = try rig.map(512)
    try rig.machine.fill(rig.process, small, pages: 512, pattern: 1)
    let huge = try rig.make(.hugePMD)
    rig.machine.lru.drainAll(for: rig.process)
    for (name, start) in [("small pages", small), ("a huge page", huge)] {
      for flags in [PinFlags.write, [.write, .longterm]] {
        for accounting in [PinAccounting.none, .pinned] {
          // The first rounds let the record, its slots and lazy globals come into being.
          for _ in 0..<3 { Self.round(rig.machine, rig.process, start, flags, accounting) }
          let before = hf_allocations_of_thread()
          for _ in 0..<100 { Self.round(rig.machine, rig.process, start, flags, accounting) }
          let made = hf_allocations_of_thread() - before
          #expect(made == 0, "\(name), flags \(flags.rawValue), \(accounting): allocations in 100 rounds")
        }
      }
    }
    // The counter does count.
    let before = hf_allocations_of_thread()
    let array = [UInt8](repeating: 1, count: Int(before & 1) + 4096)
    #expect(hf_allocations_of_thread() > before, "\(array.count) bytes")
    #expect(rig.acquired > 0, "pins")
    rig.check("rounds")
  }

  @inline(never)
  private static func round(
    _ machine: Machine, _ process: Process, _ start: VirtualAddress, _ flags: PinFlags,
    _ accounting: PinAccounting
  ) {
    guard
      let pins = try? machine.pin(
        process, at: start, pages: 512, flags: flags, entry: .fast, accounting: accounting)
    else { return }
    pins.unpin()
  }
}
