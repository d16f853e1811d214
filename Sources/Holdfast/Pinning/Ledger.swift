import Interleaving

/// The ledger: a record of every call that took pages, with its process, purpose and time.
///
/// A record costs a fixed amount for each call, not for each page: the run of slots that holds its frames is
/// also the array that the caller gets.
package struct Ledger: Room {
  package let machine: Machine

  func pinRecord(_ id: RowID) -> PinRecord {
    PinRecord(machine.row(machine.layout.pinRecords, id.index), id: id)
  }

  /// The slots of the ledger, one frame number each.
  @inline(__always)
  private var pinSlots: UnsafeMutablePointer<FrameNumber> {
    (machine.arena + machine.layout.pinSlots.start).assumingMemoryBound(to: FrameNumber.self)
  }
}

extension Room {
  /// The ledger of pins.
  @inline(__always)
  package var ledger: Ledger { Ledger(machine: machine) }
}

extension Machine {
  /// The holders of pages in a range of frames: one for each record, largest first.
  ///
  /// Reads the whole ledger, so it is for reports and errors only.
  public func holders(of range: FrameRange) -> [PinHolder] { ledger.holders(of: range) }

  /// All records that hold pages now, oldest first.
  public var pinHolders: [PinHolder] { ledger.pinHolders }
}

extension Ledger {
  /// Makes a record with `count` slots; nil if a table of the ledger is full.
  func openRecord(count: Int) -> PinRecord? {
    let order = Self.slotOrder(count)
    return global.ledgerLock.withLock {
      guard !failures.shouldFail(.table), let slots = allocateSlots(order) else { return nil }
      guard let id = pools.allocate(.pinRecords) else {
        freeSlots(slots, order)
        return nil
      }
      let record = pinRecord(id)
      record.kind = Self.pendingKind
      record.slots = slots
      record.slotOrder = order
      return record
    }
  }

  /// Frees a record whose pages were released.
  func closeRecord(_ record: PinRecord) {
    global.ledgerLock.withLock {
      freeSlots(record.slots, record.slotOrder)
      pools.free(.pinRecords, record.id)
    }
  }

  /// The first slots of a record.
  @inline(__always)
  func slots(of record: PinRecord, count: Int) -> UnsafeMutableBufferPointer<FrameNumber> {
    UnsafeMutableBufferPointer(start: pinSlots + Int(record.slots), count: count)
  }

  /// The frames of a record: one for each page that was taken.
  @inline(__always)
  func frames(of record: PinRecord) -> UnsafeMutableBufferPointer<FrameNumber> {
    slots(of: record, count: record.total)
  }

  package static let getKind: UInt32 = 1
  package static let pinKind: UInt32 = 2
  private static let pendingKind: UInt32 = 3

  /// Calls `body` with every record in use and its frames.
  ///
  /// - Locks: takes the ledger's lock for each record.
  package func forEachRecord(_ body: (PinRecord, UnsafeBufferPointer<FrameNumber>) -> Void) {
    var index: UInt32 = 1
    while true {
      let more = global.ledgerLock.withLock {
        guard index <= global.pool(.pinRecords).used else { return false }
        let record = pinRecord(RowID(rawValue: index))
        if record.kind == Self.getKind || record.kind == Self.pinKind {
          body(record, UnsafeBufferPointer(frames(of: record)))
        }
        return true
      }
      if !more { return }
      index += 1
    }
  }

  /// `Machine.holders(of:)`, for the rooms.
  package func holders(of range: FrameRange) -> [PinHolder] {
    var found: [PinHolder] = []
    forEachRecord { record, frames in
      let inside = frames.lazy.filter { $0 != .none && range.contains($0) }.count
      if inside > 0 { found.append(holder(record, pagesInRange: inside)) }
    }
    return found.sorted { $0.pagesInRange > $1.pagesInRange }
  }

  /// `Machine.pinHolders`, for the rooms.
  var pinHolders: [PinHolder] {
    var found: [PinHolder] = []
    forEachRecord { record, _ in
      if record.remaining > 0 { found.append(holder(record, pagesInRange: record.remaining)) }
    }
    return found.sorted { $0.age > $1.age }
  }

  private func holder(_ record: PinRecord, pagesInRange: Int) -> PinHolder {
    PinHolder(
      owner: record.owner, ownerName: record.ownerName.description, purpose: record.purpose.description,
      isPin: record.kind == Self.pinKind,
      isLongterm: record.flags.contains(.longterm), address: VirtualAddress(page: record.startPage),
      pagesInRange: pagesInRange, pages: record.remaining, age: machine.now &- record.tick)
  }

  // MARK: - Slots

  private static func slotOrder(_ count: Int) -> Int {
    count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount
  }

  /// The caller holds the ledger's lock.
  private func allocateSlots(_ order: Int) -> UInt32? {
    guard order < 32 else { return nil }
    let first = global.firstFreeSlots(order: order)
    if first != 0 {
      global.setFirstFreeSlots(order: order, (pinSlots + Int(first)).pointee.rawValue)
      return first
    }
    // Slot 0 stands for "none".
    let used = max(1, Int(global.slotsUsed))
    guard used + (1 << order) <= machine.layout.pinSlots.count else { return nil }
    global.slotsUsed = UInt32(used + (1 << order))
    return UInt32(used)
  }

  private func freeSlots(_ slots: UInt32, _ order: Int) {
    (pinSlots + Int(slots)).pointee = FrameNumber(rawValue: global.firstFreeSlots(order: order))
    global.setFirstFreeSlots(order: order, slots)
  }
}
