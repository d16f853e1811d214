/// Something that happened in a machine, as its trace sink is told.
public enum TraceEvent: Sendable {
  /// A fault was served.
  case fault(process: ProcessID, address: VirtualAddress, write: Bool, frame: FrameNumber?)
  /// Pages were pinned or got.
  case pin(process: ProcessID, address: VirtualAddress, pages: Int, flags: PinFlags)
  /// Pages were given back.
  case unpin(process: ProcessID, pages: Int)
  /// A folio was taken off its LRU list, or could not be.
  case isolate(frame: FrameNumber, succeeded: Bool)
  /// A folio moved, or could not.
  case migrate(from: FrameNumber, to: FrameNumber?, pages: Int, reason: MigrationReason)
  /// A pass of an offline loop.
  case offlinePass(block: BlockID, pass: Int, unmoved: Int)
  /// A block changed state.
  case block(BlockID, BlockState)
  /// The LRU batches were drained.
  case drain(allProcessors: Bool)
  /// A CMA allocation tried a window.
  case cma(area: String, start: FrameNumber, count: Int, succeeded: Bool)
}

/// Receives trace events, on the thread that causes them and with locks held: it must not call the machine.
public typealias TraceSink = @Sendable (TraceEvent) -> Void
