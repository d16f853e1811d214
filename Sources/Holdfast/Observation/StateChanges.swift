import Interleaving

/// What differs between two copies of a machine's state, for the schedules that an explorer prints.
extension StateObservation {
  /// Leaf entries, memory blocks and frames that differ, such as `refcount of pfn:0x21: 1 -> 1025`.
  ///
  /// - Parameter shown: the frames of which the counts and flags are compared.
  package func stateChanges(
    from before: [UInt8], to after: [UInt8], of shown: Set<FrameNumber>
  ) -> [String] {
    guard before.count == machine.layout.size, after.count == machine.layout.size else { return [] }
    var changes: [String] = []
    before.withUnsafeBytes { before in
      after.withUnsafeBytes { after in
        for offset in stride(from: machine.layout.tablePages.start, to: machine.layout.tablePages.end, by: 8)
        {
          let (then, now) = (Self.entry(before, offset), Self.entry(after, offset))
          if then != now, !then.isTable, !now.isTable { note(offset, before, after, &changes) }
        }
        for frame in shown.sorted() {
          for field in Self.shownFields {
            note(machine.layout.frames.offset(frame.index) + field.offset, before, after, &changes)
          }
        }
        for block in 0..<machine.blockCount {
          note(machine.layout.blocks.offset(block) + MemoryBlockRow.state.offset, before, after, &changes)
        }
      }
    }
    return changes
  }

  /// Frames that an entry of a table page maps or waits for.
  package func mappedFrames(in state: [UInt8]) -> Set<FrameNumber> {
    guard state.count == machine.layout.size else { return [] }
    var frames: Set<FrameNumber> = []
    state.withUnsafeBytes { state in
      for offset in stride(from: machine.layout.tablePages.start, to: machine.layout.tablePages.end, by: 8) {
        let entry = Self.entry(state, offset)
        guard !entry.isTable, entry.mapsFrame || entry.swapKind != nil, entry.frame.index < machine.frameCount
        else {
          continue
        }
        if entry.frame != machine.zeroPageFrame { frames.insert(entry.frame) }
      }
    }
    return frames
  }

  /// What is compared of a frame.
  private static var shownFields: [any RowField] {
    [PageRow.refcount, PageRow.mapcount, PageRow.flags, PageRow.pincount, PageRow.entireMapcount]
  }

  private static func entry(_ state: UnsafeRawBufferPointer, _ offset: Int) -> PageTableEntry {
    PageTableEntry(rawValue: state.load(fromByteOffset: offset, as: UInt64.self))
  }

  private func note(
    _ offset: Int, _ before: UnsafeRawBufferPointer, _ after: UnsafeRawBufferPointer,
    _ changes: inout [String]
  ) {
    guard let place = statePlace(offset), let then = text(place, before), let now = text(place, after),
      then != now
    else { return }
    changes.append("\(place.name): \(then) -> \(now)")
  }
}
