package import Interleaving

/// The allocation scopes of a process (spec 2.12), with the kernel's PF_* values.
public struct AllocationScope: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Scopes with those bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// PF_MEMALLOC_PIN: nothing is allocated movable (PF_MEMALLOC_NOCMA under `linux-5.10`: nothing from CMA).
  public static let pin = AllocationScope(rawValue: 0x1000_0000)
  /// PF_MEMALLOC_NOFS.
  public static let noFS = AllocationScope(rawValue: 0x0004_0000)
  /// PF_MEMALLOC_NOIO.
  public static let noIO = AllocationScope(rawValue: 0x0008_0000)
  /// PF_MEMALLOC: the process is in reclaim.
  public static let memalloc = AllocationScope(rawValue: 0x0000_0800)
}

/// What a process may do.
public struct Capabilities: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Capabilities with those bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// CAP_IPC_LOCK: RLIMIT_MEMLOCK does not count.
  public static let ipcLock = Capabilities(rawValue: 1)
}

/// A process (task and mm): a handle to its row.
///
/// One thread at a time acts for a process; fields without another word belong to it.
public struct Process: @unchecked Sendable {
  // Sendable: a handle that never changes; the row's fields are atomic, guarded by locks of the machine, or belong
  // to the one thread that acts for the process.
  static let stride = 80

  let row: Row

  init(_ raw: UnsafeMutableRawPointer) { row = Row(raw) }

  /// 1 while the row is in use.
  ///
  /// Protected by the tables lock.
  package var live: UInt32 {
    get { row.plain(0) }
    nonmutating set { row.setPlain(0, newValue) }
  }
  /// The process number.
  public var id: ProcessID { ProcessID(rawValue: row.plain(4)) }
  func setID(_ id: RowID) { row.setPlain(4, id.rawValue) }

  /// Its address space.
  ///
  /// Immutable while the process lives.
  package var space: RowID {
    get { RowID(rawValue: row.plain(8)) }
    nonmutating set { row.setPlain(8, newValue.rawValue) }
  }
  /// The processor it runs on, an index.
  public var processor: Int {
    get { Int(row.plain(12, as: UInt32.self)) }
    nonmutating set { row.setPlain(12, UInt32(newValue)) }
  }
  /// Allocation scopes in force.
  public internal(set) var scope: AllocationScope {
    get { AllocationScope(rawValue: row.plain(16)) }
    nonmutating set { row.setPlain(16, newValue.rawValue) }
  }
  /// What the process may do.
  public var capabilities: Capabilities {
    get { Capabilities(rawValue: row.plain(20)) }
    nonmutating set { row.setPlain(20, newValue.rawValue) }
  }
  /// RLIMIT_MEMLOCK in bytes; `UInt64.max` is unlimited.
  public var memlockLimit: UInt64 {
    get { row.plain(24) }
    nonmutating set { row.setPlain(24, newValue) }
  }
  /// Pending signals: bit 0 any, bit 1 a fatal one.
  ///
  /// Atomic, since others set it.
  package var signals: AtomicUInt32 { row.uint32(32) }

  /// Sends a signal: any ends an offline, only a fatal one a long-term pin.
  public func raise(fatal: Bool) {
    var seen = signals.load()
    while true {
      let (exchanged, original) = signals.compareExchange(seen, seen | (fatal ? 3 : 1))
      if exchanged { return }
      seen = original
    }
  }

  /// Takes all pending signals, as their handlers would.
  public func clearSignals() { signals.store(0) }

  /// Whether a signal is pending.
  package var hasSignal: Bool { signals.load(.relaxed) != 0 }
  /// Whether a fatal signal is pending.
  package var hasFatalSignal: Bool { signals.load(.relaxed) & 2 != 0 }

  /// The name, up to 15 bytes as in Linux.
  ///
  /// Written when the process is made.
  public var name: String { Self.name(in: row, at: 40) }

  static func name(in row: Row, at offset: Int) -> String {
    var bytes: [UInt8] = []
    for i in 0..<16 {
      let byte = row.plain(offset + i, as: UInt8.self)
      if byte == 0 { break }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
  func setName(_ name: String) {
    for i in 0..<16 { row.setPlain(40 + i, UInt8(0)) }
    for (i, byte) in name.utf8.prefix(15).enumerated() { row.setPlain(40 + i, byte) }
  }
}

extension Process {
  /// Enters PF_MEMALLOC_PIN; returns what `restore` needs (memalloc_pin_save, spec 2.12).
  ///
  /// Scopes nest: an inner restore does not end an outer one.
  public func savePinScope() -> AllocationScope {
    let previous = scope.intersection(.pin)
    scope.formUnion(.pin)
    return previous
  }

  /// Leaves the scope that `savePinScope` entered, given what it returned (memalloc_pin_restore).
  public func restorePinScope(_ previous: AllocationScope) {
    scope = scope.subtracting(.pin).union(previous)
  }
}
