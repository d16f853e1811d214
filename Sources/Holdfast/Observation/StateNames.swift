import Interleaving

/// Names of the words of a machine's state, for the schedules that an explorer prints.
extension StateObservation {
  /// What the word at an address is, such as `refcount of pfn:0x21`; empty for one outside the tables.
  package func stateName(at address: UInt) -> String { statePlace(at: address)?.name ?? "" }

  /// A word of the state.
  struct StatePlace {
    /// Where it begins in the state.
    let offset: Int
    /// What it is called, its row included.
    let name: String
    /// What it holds, unless it lies between the fields of a row.
    let type: Any.Type?
  }

  func statePlace(at address: UInt) -> StatePlace? {
    statePlace(Int(bitPattern: address) - Int(bitPattern: machine.arena))
  }

  /// The word that holds a byte of the state.
  func statePlace(_ offset: Int) -> StatePlace? {
    guard let table = machine.layout.tables.last(where: { $0.bytes.lowerBound <= offset }),
      table.bytes.contains(offset)
    else { return nil }
    let inside = offset - table.bytes.lowerBound
    let word = table.layout.word(at: inside % table.stride)
    let row = table.rowName(inside / table.stride)
    let name = word?.name ?? "byte \(inside % table.stride)"
    return StatePlace(
      offset: offset - inside % table.stride + (word?.offset ?? inside % table.stride),
      name: row.isEmpty ? name : "\(name) of \(row)", type: word?.type)
  }
}
