/// A copy of all changing state of a machine, to which the machine can be put back.
///
/// For explored machines, whose tables are small.
package final class MachineImage {
  private let machine: Machine
  private let bytes: UnsafeMutableRawPointer

  /// Copies the state; nobody may act on the machine meanwhile.
  package init(of machine: Machine) {
    self.machine = machine
    bytes = .allocate(byteCount: machine.layout.size, alignment: 64)
    bytes.copyMemory(from: machine.arena, byteCount: machine.layout.size)
  }

  deinit { bytes.deallocate() }

  /// Puts the machine back; nobody may act on it meanwhile.
  ///
  /// Pins that were taken since have no record any more, so that dropping them does nothing.
  package func restore() {
    machine.arena.copyMemory(from: bytes, byteCount: machine.layout.size)
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
