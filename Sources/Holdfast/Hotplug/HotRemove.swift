import CLinux
import Interleaving
public import SystemPackage

/// Why memory cannot be removed.
public struct RemoveError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason for a refusal.
  public enum Cause: Hashable, Sendable {
    /// No block was named, or one that the machine does not have.
    case noSuchBlock
    /// The block is not offline.
    case wrongState(BlockState)
    /// It cannot be taken offline.
    case offline(OfflineError)
    /// The host says that something still pins bytes of the block: a device could write there.
    case hostPin
    /// Another error of the host.
    case host(Errno)
  }

  /// The block at fault.
  public let block: BlockID
  /// The reason.
  public let cause: Cause
  /// Blocks that were offline or removed already and are online again.
  public let rolledBack: [BlockID]
  /// Blocks that could not be brought online again, and why.
  public let notRolledBack: [OnlineError]

  init(
    block: BlockID, cause: Cause, rolledBack: [BlockID] = [], notRolledBack: [OnlineError] = []
  ) {
    self.block = block
    self.cause = cause
    self.rolledBack = rolledBack
    self.notRolledBack = notRolledBack
  }

  /// The kernel's errno.
  public var errno: Errno {
    switch cause {
    case .noSuchBlock: .invalidArgument
    case .wrongState(let state): state == .absent ? .invalidArgument : .resourceBusy
    case .offline(let error): error.errno
    case .hostPin: .resourceBusy
    case .host(let errno): errno
    }
  }

  /// One sentence or several: the reason, and what was brought back.
  public var description: String {
    var text =
      switch cause {
      case .noSuchBlock: "\(block) cannot be removed: the machine has no such block."
      case .wrongState(let state): "\(block) cannot be removed: it is \(state), not offline."
      case .offline(let error): error.description
      case .hostPin:
        "\(block) stays offline: the host refuses to take its memory, since something still pins it."
      case .host(let errno): "\(block) stays offline: the host does not take its memory (\(errno))."
      }
    if !rolledBack.isEmpty {
      text += " In use again: " + rolledBack.map(\.description).joined(separator: ", ") + "."
    }
    for error in notRolledBack { text += " Not brought back: \(error)." }
    return text
  }
}

/// Taking blocks out of the machine.
extension Machine {
  /// Removes an offline block; its bytes go back to the host.
  ///
  /// Where frames have bytes, the host refuses to seal them while anything still pins them.
  ///
  /// - Throws: EINVAL for a block that the machine does not have, EBUSY for one that is not offline or whose
  ///   bytes are pinned; the block then stays as it was.
  /// - Locks: takes the hotplug lock; the caller holds no lock.
  /// - Kernel: mm/memory_hotplug.c:remove_memory (6.1)
  public func removeMemory(_ id: BlockID) throws(RemoveError) {
    global.hotplugLock.lock()
    defer { global.hotplugLock.unlock() }
    tick()
    try blocks.remove(id)
  }

  /// Takes blocks offline and removes them, all or none.
  ///
  /// On the first failure the blocks before it come online again, in the kind of zone that they were in. Only
  /// a block whose bytes the host keeps pinned stays offline, so that no allocation gets memory that a device
  /// may write.
  ///
  /// - Parameters:
  ///   - blocks: the blocks to remove, in any order.
  ///   - process: the process that asks; a signal to it ends the attempt.
  ///   - limits: how long to try for each block.
  ///   - notify: a memory notifier for each block.
  /// - Returns: what was done for each block; blocks that were offline already are not listed.
  /// - Throws: the first failure, with what was brought back.
  /// - Locks: takes the hotplug lock; the caller holds no lock.
  /// - Kernel: mm/memory_hotplug.c:offline_and_remove_memory (6.1); without passing over absent blocks
  ///   (EINVAL here), one removal of a whole range: the blocks may be any, and are removed one by one.
  /// - Kernel: mm/memory_hotplug.c:try_offline_memory_block (6.1)
  @discardableResult
  public func offlineAndRemove(
    _ blocks: [BlockID], by process: Process, limits: OfflineLimits = .kernel, notify: HotplugNotifier? = nil
  ) throws(RemoveError) -> [OfflineReport] {
    if blocks.isEmpty { throw RemoveError(block: BlockID(rawValue: 0), cause: .noSuchBlock) }
    let blocks = Set(blocks).sorted()
    global.hotplugLock.lock()
    defer { global.hotplugLock.unlock() }
    tick()
    for id in blocks {
      guard self.blocks.isBlock(id) else { throw RemoveError(block: id, cause: .noSuchBlock) }
      if self.blocks.block(id).state == .absent { throw RemoveError(block: id, cause: .wrongState(.absent)) }
    }
    var reports: [OfflineReport] = []
    for id in blocks where self.blocks.block(id).state != .offline {
      do {
        reports.append(try self.blocks.offline(id, by: process, limits: limits, notify: notify))
      } catch {
        throw self.blocks.rollBack(reports, RemoveError(block: id, cause: .offline(error)), notify)
      }
    }
    var removed: [(id: BlockID, node: Int)] = []
    for id in blocks {
      let node = self.blocks.block(id).node
      do {
        try self.blocks.remove(id)
        removed.append((id, node))
      } catch {
        for (id, node) in removed { self.blocks.add(id, node: node) }
        throw self.blocks.rollBack(reports.filter { $0.block != id }, error, notify)
      }
    }
    return reports
  }
}

extension Blocks {
  /// Removes an offline block, for a caller that holds the hotplug lock.
  ///
  /// - Kernel: mm/memory_hotplug.c:try_remove_memory (6.1); without the memory map on the memory itself,
  ///   try_offline_node.
  fileprivate func remove(_ id: BlockID) throws(RemoveError) {
    guard isBlock(id) else { throw RemoveError(block: id, cause: .noSuchBlock) }
    guard block(id).state == .offline else {
      throw RemoveError(block: id, cause: .wrongState(block(id).state))
    }
    if let store = machine.store {
      do {
        try store.depopulate(id)
      } catch {
        throw RemoveError(block: id, cause: error == .resourceBusy ? .hostPin : .host(error))
      }
    }
    discardMetadata(of: machine.frames(of: id))
    block(id).present = 0
    block(id).zone = nil
    setState(id, .absent)
  }

  /// Gives the host back the memory of a removed block's descriptors, which the offline has zeroed.
  private func discardMetadata(of range: FrameRange) {
    let start = memmap.page(range.start).row.raw
    let whole = UInt(bitPattern: start + 4095) & ~4095
    let end = UInt(bitPattern: start + range.count * PageRow.stride) & ~4095
    guard whole < end, let first = UnsafeMutableRawPointer(bitPattern: whole) else { return }
    // The descriptors read as zeros either way: a refusal costs memory only.
    _ = hf_discard(first, UInt64(end - whole))
  }

  /// Brings blocks online again in the kind of zone that they were in, the last one first.
  ///
  /// - Kernel: mm/memory_hotplug.c:try_reonline_memory_block (6.1); without the order, which in the kernel is
  ///   ascending.
  fileprivate func rollBack(
    _ reports: [OfflineReport], _ error: RemoveError, _ notify: HotplugNotifier?
  ) -> RemoveError {
    var back: [BlockID] = []
    var failed: [OnlineError] = []
    for report in reports.reversed() {
      do {
        let kind: OnlineKind = report.zone.kind == .movable ? .movable : .kernel
        _ = try online(report.block, as: kind, .contiguousZones, notify)
        back.append(report.block)
      } catch {
        failed.append(error)
      }
    }
    return RemoveError(block: error.block, cause: error.cause, rolledBack: back, notRolledBack: failed)
  }
}
