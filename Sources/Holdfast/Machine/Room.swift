/// A room of the machine, as others enter it: the machine under another name, which costs nothing.
///
/// Each room declares its facades and extends this protocol by them, so that `machine.lru` is the same value everywhere,
/// and within a room it is just `lru`. A member of a facade that is `package` is a door, which other rooms may use; the
/// others are the room's own. A test holds that rule and the arrows between rooms, which
/// `Documentation/Architecture.md` draws.
package protocol Room {
  var machine: Machine { get }
}

extension Machine: Room {
  @inline(__always)
  package var machine: Machine { self }
}

// What every room needs to know of the machine.
extension Room {
  @inline(__always)
  var memmap: Memmap { machine.memmap }
  @inline(__always)
  var configuration: MachineConfiguration { machine.configuration }
  @inline(__always)
  var policy: PlacementPolicy { machine.policy }
  @inline(__always)
  var pinRules: PinRules { machine.pinRules }
  @inline(__always)
  var geometry: Geometry { machine.geometry }
  @inline(__always)
  var global: Globals { machine.global }
  @inline(__always)
  var trace: TraceSink? { machine.trace }

  /// Whether the machine has a safeguard.
  @inline(__always)
  func isEnabled(_ safeguard: Safeguard) -> Bool { machine.isEnabled(safeguard) }
}
