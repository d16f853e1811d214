package import Interleaving

/// The allocation scopes of a process (rule 2.12), with the kernel's PF_* values.
public struct AllocationScope: OptionSet, Hashable, Sendable, BitwiseCopyable {
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
public struct Capabilities: OptionSet, Hashable, Sendable, BitwiseCopyable {
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

  let row: Row

  @inline(__always)
  init(_ row: Row) { self.row = row }

  /// The same row without checks of locks, while no other thread can reach it: not yet, or not any more.
  var unshared: Process { Process(row.unshared) }

  /// 1 while the row is in use.
  package var live: UInt32 {
    get { row[ProcessRow.live] }
    nonmutating set { row[ProcessRow.live] = newValue }
  }
  /// The process number.
  public internal(set) var id: ProcessID {
    get { row[ProcessRow.id] }
    nonmutating set { row[ProcessRow.id] = newValue }
  }

  /// Its address space.
  package var space: RowID {
    get { row[ProcessRow.space] }
    nonmutating set { row[ProcessRow.space] = newValue }
  }
  /// The processor it runs on, an index.
  public var processor: Int {
    get { Int(row[ProcessRow.processor]) }
    nonmutating set { row[ProcessRow.processor] = UInt32(newValue) }
  }
  /// Allocation scopes in force.
  public internal(set) var scope: AllocationScope {
    get { row[ProcessRow.scope] }
    nonmutating set { row[ProcessRow.scope] = newValue }
  }
  /// What the process may do.
  public var capabilities: Capabilities {
    get { row[ProcessRow.capabilities] }
    nonmutating set { row[ProcessRow.capabilities] = newValue }
  }
  /// RLIMIT_MEMLOCK in bytes; `UInt64.max` is unlimited.
  public var memlockLimit: UInt64 {
    get { row.atomic(ProcessRow.memlockLimit).load(.relaxed) }
    nonmutating set { row.atomic(ProcessRow.memlockLimit).store(newValue, .relaxed) }
  }
  /// Pending signals: bit 0 any, bit 1 a fatal one.
  package var signals: AtomicUInt32 { row.atomic(ProcessRow.signals) }

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
  public var name: String { storedName.description }

  /// The name as it is kept.
  var storedName: ProcessName {
    get { row[ProcessRow.name] }
    nonmutating set { row[ProcessRow.name] = newValue }
  }
}

extension Process {
  /// Enters PF_MEMALLOC_PIN; returns what `restore` needs (memalloc_pin_save, rule 2.12).
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
