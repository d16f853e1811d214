import Interleaving
import SystemPackage

/// Processes, their address spaces, and the areas that are mapped there.
package struct Spaces: Room {
  package let machine: Machine

  func process(_ id: ProcessID) -> Process {
    Process(machine.row(machine.layout.processes, Int(id.rawValue)))
  }

  /// The number of a process that may have ended, whose row then holds something else.
  package func number(of process: Process) -> ProcessID {
    let table = machine.layout.processes
    return ProcessID(rawValue: UInt32((process.row.raw - machine.row(table, 0).raw) / table.stride))
  }

  @inline(__always)
  package func space(_ id: RowID) -> AddressSpace {
    AddressSpace(machine.row(machine.layout.spaces, id.index))
  }

  func area(_ id: RowID) -> VirtualMemoryArea {
    VirtualMemoryArea(machine.row(machine.layout.areas, id.index), id: id)
  }
}

extension Room {
  /// Processes and address spaces.
  @inline(__always)
  package var spaces: Spaces { Spaces(machine: machine) }
}

extension Machine {
  /// RLIMIT_MEMLOCK by default: 8 MiB.
  public static let defaultMemlockLimit: UInt64 = 8 << 20

  /// Makes a process with an empty address space.
  ///
  /// - Parameters:
  ///   - name: the name that listings show; Linux keeps 15 bytes of it.
  ///   - processor: the processor it runs on; changed by setting `Process.processor`.
  ///   - memlockLimit: RLIMIT_MEMLOCK in bytes.
  ///   - capabilities: what the process may do.
  /// - Throws: EINVAL for a processor that does not exist, EAGAIN if a table is full, ENOMEM without memory.
  public func createProcess(
    name: String, processor: Int = 0, memlockLimit: UInt64 = defaultMemlockLimit,
    capabilities: Capabilities = []
  ) throws(AddressSpaceError) -> Process {
    tick()
    guard (0..<configuration.processors).contains(processor) else {
      throw AddressSpaceError(.createProcess, .noSuchProcessor(processor), errno: .invalidArgument)
    }
    guard let id = pools.allocate(.processes) else {
      throw AddressSpaceError(
        .createProcess, .tableFull("processes"), errno: .resourceTemporarilyUnavailable)
    }
    let new = spaces.process(ProcessID(rawValue: id.rawValue))
    new.unshared.id = ProcessID(rawValue: id.rawValue)
    new.unshared.storedName = ProcessName(name)
    new.processor = processor
    new.memlockLimit = memlockLimit
    new.capabilities = capabilities
    do {
      let space = try spaces.createSpace(
        of: new.id, allocatingFor: new, .createProcess, fullErrno: .resourceTemporarilyUnavailable)
      spaces.setSpace(of: new, to: space)
      return new
    } catch {
      pools.free(.processes, id)
      throw error
    }
  }

  /// Ends a process: unmaps everything and frees its tables; its locked pages no longer count.
  ///
  /// Pins are not undone: pinned pages stay allocated, mapped nowhere, until they are unpinned. If another
  /// process works on the space remotely, the space is freed when it is done. A process that has ended
  /// already is left alone.
  public func exit(_ process: Process) {
    guard process.live != 0 else { return }
    tick()
    let space = process.space
    spaces.putSpace(space, on: process.processor)
    pools.free(.processes, RowID(rawValue: process.id.rawValue))
  }

  /// All processes, in the order of their numbers.
  public var processes: [Process] {
    let used = pools.usedRows(.processes)
    guard used > 0 else { return [] }
    return (1...used).lazy
      .map { self.spaces.process(ProcessID(rawValue: UInt32($0))) }
      .filter { $0.live != 0 && $0.space != .none }
  }
}

extension Spaces {
  /// Keeps a space from being freed while a process works on it remotely.
  ///
  /// - Returns: false if it has been freed.
  /// - Kernel: include/linux/sched/mm.h:mmget_not_zero (6.1)
  package func getSpace(_ id: RowID) -> Bool {
    global.tablesLock.withLock {
      let space = space(id)
      guard space.live > 0 else { return false }
      space.live += 1
      return true
    }
  }

  /// Whether a space, whose row somebody keeps, has not been freed.
  package func isLive(_ id: RowID) -> Bool { global.tablesLock.withLock { space(id).live > 0 } }

  /// Makes an empty space.
  ///
  /// - Throws: `fullErrno` if the table of spaces is full, ENOMEM if there is no memory for its top-level table.
  func createSpace(
    of owner: ProcessID, allocatingFor process: Process, _ operation: AddressSpaceError.Operation,
    fullErrno: Errno
  ) throws(AddressSpaceError) -> RowID {
    guard let id = pools.allocate(.spaces) else {
      throw AddressSpaceError(operation, .tableFull("address spaces"), errno: fullErrno)
    }
    switch pageTables.allocateTable(.table, for: process) {
    case .success(let root):
      let new = space(id).unshared
      new.rootTable = root
      new.owner = owner
      new.tablePages.store(1, .relaxed)
      return id
    case .failure(let result):
      pools.free(.spaces, id)
      throw faults.faultError(operation, result, at: nil)
    }
  }

  /// Gives a new process its space.
  ///
  /// A thread may have the handle of a process that had this row before, and look for its space.
  func setSpace(of new: Process, to space: RowID) {
    global.tablesLock.withLock { new.unshared.space = space }
  }

  /// Keeps the space of a process that may end meanwhile.
  ///
  /// - Returns: the space, or nil if the process has ended.
  /// - Kernel: kernel/fork.c:get_task_mm (6.1)
  package func getSpace(of process: Process) -> RowID? {
    global.tablesLock.withLock {
      guard process.live != 0 else { return nil }
      let space = space(process.space)
      guard space.live > 0 else { return nil }
      space.live += 1
      return process.space
    }
  }

  /// Drops a hold of a space; the last one frees it.
  ///
  /// - Locks: the caller holds no lock.
  /// - Kernel: kernel/fork.c:mmput (6.1)
  /// - Kernel: mm/mmap.c:exit_mmap (6.1); without lru_add_drain, the OOM reaper, locked areas.
  package func putSpace(_ id: RowID, on processor: Int) {
    let space = space(id)
    let isLast = global.tablesLock.withLock { () -> Bool in
      space.live -= 1
      // The teardown keeps the row; no new hold can be taken any more.
      if space.live == 0 { space.grabs += 1 }
      return space.live == 0
    }
    guard isLast else { return }
    space.lock.lockExclusive()
    let everything = PageSpan(start: 0, end: geometry.addressSpacePages)
    while let area = firstArea(space) {
      pageTables.zap(space, PageSpan(start: area.start, end: area.end), on: processor)
      destroyArea(space, area, on: processor)
    }
    pageTables.freeEmptyTables(space, everything, on: processor)
    space.lockedPages.store(0, .relaxed)
    space.pinnedPages.store(0, .relaxed)
    space.lock.unlockExclusive()
    pageTables.synchroniseWalkers()
    pageTables.freeTable(space.rootTable, on: processor)
    putSpaceRow(id)
  }

  /// Keeps a space's row, though not what is mapped in it, past the end of its process.
  ///
  /// For owners of pins that charge locked pages to a space and uncharge them later.
  ///
  /// - Kernel: include/linux/sched/mm.h:mmgrab (6.1)
  package func getSpaceRow(_ id: RowID) {
    global.tablesLock.withLock { space(id).grabs += 1 }
  }

  /// Undoes `getSpaceRow`.
  ///
  /// - Kernel: include/linux/sched/mm.h:mmdrop (6.1)
  package func putSpaceRow(_ id: RowID) {
    let isLast = global.tablesLock.withLock { () -> Bool in
      let space = space(id)
      space.grabs -= 1
      return space.grabs == 0 && space.live == 0
    }
    if isLast { pools.free(.spaces, id) }
  }
}
