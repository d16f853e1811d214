import SystemPackage

/// Threads: processes that share an address space.
extension Machine {
  /// Makes a thread of a process: another process row on the same address space (clone with CLONE_VM).
  ///
  /// Limits and capabilities are those of the process. The thread ends by `exit`; the space is freed with the
  /// last of those that share it.
  ///
  /// - Parameters:
  ///   - process: the process that the thread belongs to.
  ///   - processor: the processor it runs on, if not the process's own; two that act at once need two.
  /// - Throws: EINVAL for a processor that does not exist, ESRCH for a process that has ended, EAGAIN if the
  ///   table of processes is full.
  /// - Kernel: kernel/fork.c:copy_mm (6.1); without a copy of the address space: CLONE_VM alone.
  public func createThread(
    of process: Process, processor: Int? = nil
  ) throws(AddressSpaceError) -> Process {
    tick()
    let processor = processor ?? process.processor
    guard (0..<configuration.processors).contains(processor) else {
      throw AddressSpaceError(.createProcess, .noSuchProcessor(processor), errno: .invalidArgument)
    }
    guard let space = spaces.getSpace(of: process) else {
      throw AddressSpaceError(.createProcess, .noSuchProcess, errno: .noSuchProcess)
    }
    guard let id = pools.allocate(.processes) else {
      spaces.putSpace(space, on: process.processor)
      throw AddressSpaceError(
        .createProcess, .tableFull("processes"), errno: .resourceTemporarilyUnavailable)
    }
    let new = spaces.process(ProcessID(rawValue: id.rawValue))
    new.unshared.id = ProcessID(rawValue: id.rawValue)
    new.unshared.storedName = process.storedName
    new.processor = processor
    new.memlockLimit = process.memlockLimit
    new.capabilities = process.capabilities
    spaces.setSpace(of: new, to: space)
    return new
  }
}
