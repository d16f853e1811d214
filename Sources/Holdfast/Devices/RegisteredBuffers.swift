public import SystemPackage

/// Why a call on registered buffers failed.
public struct BufferError: Error, Sendable, CustomStringConvertible {
  /// The reason for the failure.
  public enum Cause: Sendable {
    /// The ring has buffers.
    case alreadyRegistered
    /// The ring has none.
    case nothingRegistered
    /// So many buffers cannot be registered.
    case badCount(Int)
    /// The buffer has a length and no address, or no length, or more than 1 GiB.
    case badLength(UInt64)
    /// Start plus length wraps around.
    case wraps
    /// The ring has no slot of that number, or nothing is in it.
    case noBuffer(Int)
    /// The buffer's memory is of several kinds, or of several objects.
    case mixedMemory
    /// The transfer reaches beyond the buffer.
    case beyondBuffer
    /// Pages could not be pinned or charged.
    case pin(PinError)
  }

  /// The reason for the failure.
  public let cause: Cause
  /// The slot, if the failure belongs to one.
  public let slot: Int?
  /// The kernel's errno.
  public let errno: Errno

  init(_ cause: Cause, _ errno: Errno, slot: Int? = nil) {
    self.cause = cause
    self.slot = slot
    self.errno = errno
  }

  /// One sentence.
  public var description: String {
    let text =
      switch cause {
      case .alreadyRegistered: "the ring has registered buffers already"
      case .nothingRegistered: "the ring has no registered buffers"
      case .badCount(let count): "\(count) buffers, expected 1 to \(RegisteredBuffers.mostBuffers)"
      case .badLength(let length): "\(length) bytes, expected 1 byte to 1 GiB at an address"
      case .wraps: "start plus length wraps around"
      case .noBuffer(let slot): "slot \(slot) holds no buffer"
      case .mixedMemory: "the buffer's memory is of several kinds or of several objects"
      case .beyondBuffer: "the transfer reaches beyond the buffer"
      case .pin(let error): error.description
      }
    return slot.map { "buffer \($0): \(text)" } ?? text
  }
}

/// The registered buffers of a ring, as of io_uring: memory of a process that is pinned while it is in a slot.
///
/// A buffer may begin and end anywhere, and costs every page that it touches. One that leaves its slot stays pinned until all
/// requests are done that were begun before. The end of the value unregisters everything.
public struct RegisteredBuffers: ~Copyable {
  /// A buffer of a process: bytes at any address.
  public struct Buffer: Hashable, Sendable {
    /// The first byte; 0 for a slot that is to be empty.
    public var address: VirtualAddress
    /// How many.
    public var length: UInt64

    /// A buffer.
    public init(_ address: VirtualAddress, length: UInt64) {
      self.address = address
      self.length = length
    }

    /// An empty slot, to be filled by an update.
    public static let empty = Buffer(VirtualAddress(rawValue: 0), length: 0)
  }

  /// A request that uses a slot's buffer; it is ended exactly once.
  public struct Request: Hashable, Sendable {
    fileprivate let generation: Int
    /// The frames that the bytes are in, in order.
    public let frames: [FrameNumber]
    /// Where in the first of them they begin.
    public let offset: Int
  }

  /// IORING_MAX_REG_BUFFERS.
  public static let mostBuffers = 1 << 14
  private static let mostBytes: UInt64 = 1 << 30

  private struct Slot {
    var buffer: Buffer
    /// The ledger's record, none if the slot is empty.
    var pins: RowID
  }

  private let machine: Machine
  private let process: Process
  /// Whether the ring charges its user, which is settled when it is made (io_ring_ctx.user).
  private let chargesUser: Bool
  private var slots: [Slot]?
  /// Requests that are under way, by the generation in which they were begun, the oldest first.
  private var underWay: [Int]
  private var firstGeneration = 0
  /// Buffers that have left their slots, with the generation that used them last.
  private var retired: [(pins: RowID, generation: Int)] = []

  /// The buffers of a ring that a process makes now: none yet.
  ///
  /// If it has CAP_IPC_LOCK now, the user is never charged for them.
  public init(_ machine: Machine, for process: Process) {
    self.machine = machine
    self.process = process
    chargesUser = !process.capabilities.contains(.ipcLock)
    underWay = [0]
  }

  deinit {
    for slot in slots ?? [] where slot.pins != .none { Self.end(slot.pins, machine, process) }
    for old in retired { Self.end(old.pins, machine, process) }
  }

  private static func end(_ pins: RowID, _ machine: Machine, _ process: Process) {
    machine.pins.endBatches(pins, markDirty: false, on: process.processor)
  }

  /// How many slots there are; nil if nothing is registered.
  public var count: Int? { slots?.count }

  /// Pages that are pinned for a slot; none for an empty one.
  public borrowing func pages(of slot: Int) -> Int {
    guard let slots, slots.indices.contains(slot), slots[slot].pins != .none else { return 0 }
    return slots[slot].buffer.pages.count
  }

  // MARK: - Registering

  /// Registers buffers (IORING_REGISTER_BUFFERS); all of them or none.
  ///
  /// - Throws: EBUSY if the ring has buffers, EINVAL for a wrong number of them, EFAULT for a length of more than 1 GiB or none,
  ///   EOVERFLOW for an end that wraps around, EINVAL for memory of several kinds; what pins and charges throw.
  /// - Kernel: io_uring/rsrc.c:io_sqe_buffers_register (6.1); without tags.
  public mutating func register(_ buffers: [Buffer]) throws(BufferError) {
    guard slots == nil else { throw BufferError(.alreadyRegistered, .resourceBusy) }
    guard (1...Self.mostBuffers).contains(buffers.count) else {
      throw BufferError(.badCount(buffers.count), .invalidArgument)
    }
    var made: [Slot] = []
    do throws(BufferError) {
      for (index, buffer) in buffers.enumerated() {
        made.append(Slot(buffer: buffer, pins: try pin(buffer, slot: index, beside: made)))
      }
    } catch {
      for slot in made where slot.pins != .none { Self.end(slot.pins, machine, process) }
      throw error
    }
    slots = made
  }

  /// Puts a buffer into a slot, or empties it (IORING_REGISTER_BUFFERS_UPDATE).
  ///
  /// The buffer that was there stays pinned until the requests are done that were begun before.
  ///
  /// - Throws: ENXIO if nothing is registered, EINVAL if there is no such slot; what `register` throws. The slot is as before.
  /// - Kernel: io_uring/rsrc.c:__io_sqe_buffers_update (6.1); without tags, several slots.
  public mutating func update(_ slot: Int, to buffer: Buffer) throws(BufferError) {
    guard var slots else { throw BufferError(.nothingRegistered, .noSuchAddressOrDevice) }
    guard slots.indices.contains(slot) else {
      throw BufferError(.noBuffer(slot), .invalidArgument, slot: slot)
    }
    let new = try pin(buffer, slot: slot, beside: slots)
    let old = slots[slot].pins
    slots[slot] = Slot(buffer: buffer, pins: new)
    self.slots = slots
    if old != .none { retire([old]) }
  }

  /// Unregisters all buffers (IORING_UNREGISTER_BUFFERS).
  ///
  /// They stay pinned until the requests are done that were begun before.
  ///
  /// - Throws: ENXIO if nothing is registered.
  /// - Kernel: io_uring/rsrc.c:io_sqe_buffers_unregister (6.1); without waiting for requests: the last one unpins.
  public mutating func unregister() throws(BufferError) {
    guard let slots else { throw BufferError(.nothingRegistered, .noSuchAddressOrDevice) }
    self.slots = nil
    retire(slots.map(\.pins).filter { $0 != .none })
  }

  /// - Kernel: io_uring/rsrc.c:io_buffer_validate (6.1)
  /// - Kernel: io_uring/rsrc.c:io_sqe_buffer_register (6.1); without runs of pages.
  private borrowing func pin(_ buffer: Buffer, slot: Int, beside others: [Slot]) throws(BufferError) -> RowID
  {
    if buffer == .empty { return .none }
    guard buffer.address.rawValue != 0, buffer.length != 0, buffer.length <= Self.mostBytes else {
      throw BufferError(.badLength(buffer.length), .badAddress, slot: slot)
    }
    let (_, wraps) = buffer.address.rawValue.addingReportingOverflow(buffer.length + UInt64(pageSize - 1))
    guard !wraps else { throw BufferError(.wraps, .overflow, slot: slot) }
    let pages = buffer.pages
    do throws(PinError) {
      return try machine.pins.pinBuffer(
        process, at: VirtualAddress(page: pages.lowerBound), pages: pages.count, chargesUser: chargesUser,
        beside: others.map(\.pins).filter { $0 != .none })
    } catch {
      throw BufferError(
        error.cause == .mixed ? .mixedMemory : .pin(error), error.errno, slot: slot)
    }
  }

  // MARK: - Requests

  /// Begins a request on bytes of a slot's buffer (IORING_OP_READ_FIXED and its like).
  ///
  /// - Throws: EFAULT if there is no such buffer, or the bytes are not all in it.
  /// - Kernel: io_uring/rsrc.c:io_import_fixed (6.1)
  public mutating func begin(
    _ slot: Int, at address: VirtualAddress, length: UInt64
  ) throws(BufferError) -> Request {
    guard let slots, slots.indices.contains(slot), slots[slot].pins != .none else {
      throw BufferError(.noBuffer(slot), .badAddress, slot: slot)
    }
    let buffer = slots[slot].buffer
    let (end, wraps) = address.rawValue.addingReportingOverflow(length)
    guard !wraps, address.rawValue >= buffer.address.rawValue,
      end <= buffer.address.rawValue + buffer.length
    else { throw BufferError(.beyondBuffer, .badAddress, slot: slot) }
    underWay[underWay.count - 1] += 1
    let wanted = Buffer(address, length: length).pages
    let first = Int(wanted.lowerBound - buffer.pages.lowerBound)
    return Request(
      generation: firstGeneration + underWay.count - 1,
      frames: machine.pins.frames(of: slots[slot].pins, first..<first + wanted.count),
      offset: Int(address.rawValue & UInt64(pageSize - 1)))
  }

  /// Ends a request; buffers that only it and earlier ones kept are unpinned.
  ///
  /// As in 6.1 a buffer that has left its slot waits for every request that was begun before, whichever slot it uses.
  ///
  /// - Kernel: io_uring/rsrc.c:io_rsrc_node_ref_zero (6.1); without the delay of up to a second, for which the kernel keeps
  ///   them pinned.
  public mutating func end(_ request: Request) {
    let index = request.generation - firstGeneration
    precondition(underWay.indices.contains(index) && underWay[index] > 0, "the request has ended already")
    underWay[index] -= 1
    settle()
  }

  private mutating func retire(_ pins: [RowID]) {
    let generation = firstGeneration + underWay.count - 1
    retired += pins.map { ($0, generation) }
    underWay.append(0)
    settle()
  }

  private mutating func settle() {
    while underWay.count > 1, underWay[0] == 0 {
      underWay.removeFirst()
      firstGeneration += 1
    }
    for old in retired where old.generation < firstGeneration { Self.end(old.pins, machine, process) }
    retired.removeAll { $0.generation < firstGeneration }
  }
}

extension RegisteredBuffers.Buffer {
  /// The virtual pages that it touches.
  fileprivate var pages: Range<UInt64> {
    address.rawValue >> 12..<(address.rawValue + length + UInt64(pageSize - 1)) >> 12
  }
}
