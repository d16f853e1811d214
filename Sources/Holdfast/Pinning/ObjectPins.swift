import Interleaving
import SystemPackage

/// Long-term pins of the pages of a memory file, without an address space: what drivers do with a memfd.
extension Pins {
  /// Pins pages of an object for an indefinite time; pages that are not there are made.
  ///
  /// - Parameters:
  ///   - id: the object, which the caller holds.
  ///   - first: the number of the first page in it; the range lies within the object.
  /// - Returns: all pages, or none and the reason.
  /// - Locks: the caller holds no lock above a container's.
  /// - Kernel: mm/gup.c:memfd_pin_folios (6.12); without hugetlb files, whose folios it counts once, folios
  ///   that a migration has locked: ours waits for them; going on after a fatal signal, which ends ours.
  func pinObject(_ id: RowID, from first: UInt64, _ request: PinRequest, _ range: PinRange) -> Taken {
    let process = request.process
    let scope = isEnabled(.pinScope) ? process.savePinScope() : process.scope.intersection(.pin)
    defer { process.restorePinScope(scope) }
    var attempt = LongtermAttempt()
    while true {
      for index in 0..<range.count {
        if let failure = pinPage(id, first + UInt64(index), request, into: range, index) {
          unpinAll(range.prefix(index).frames, pins: true, markDirty: false, on: process.processor)
          return Taken(count: 0, failure: failure)
        }
      }
      switch settle(request, range, &attempt) {
      case .stay: return Taken(count: range.count)
      case .again:
        counters.bump(.longtermRetries, on: process)
        giveWay(.retry, attempt: attempt.passes)
        attempt.passes += 1
      case .fail(let error): return Taken(count: 0, failure: error)
      }
    }
  }

  /// Pins one page of an object; returns why not, if so.
  private func pinPage(
    _ id: RowID, _ index: UInt64, _ request: PinRequest, into range: PinRange, _ place: Int
  ) -> PinError? {
    let process = request.process
    let address = VirtualAddress(page: index)
    if isEnabled(.fatalSignalCheck), process.hasFatalSignal {
      return PinError(.signal, .interrupted, .interrupted, address: address)
    }
    switch faults.page(of: id, index, wait: true, for: process) {
    case .success(let head):
      let folio = memmap.page(head)
      let frame = head + Int(index - folio.index)
      let isPinned = tryGrabPage(frame, request.flags, on: process.processor)
      folio.lock.unlock()
      folios.put(head, on: process.processor)
      guard isPinned else {
        return PinError(
          .grab, .countOverflow(references: folio.refcount.load()), .invalidArgument, address: address,
          frame: frame)
      }
      range.frames[place] = frame
      return nil
    case .failure(.outOfMemory(let error)):
      return PinError(
        .fault, .faultNoMemory(error?.description ?? "no table page"), .noMemory, address: address)
    case .failure:
      return PinError(.fault, .faultRefused("beyond the end of the object"), .badAddress, address: address)
    }
  }
}

extension Machine {
  /// Pins pages of a memory file for a driver that has no address space of a program in its hands (memfd_pin_folios).
  ///
  /// Nothing is charged for it: neither RLIMIT_MEMLOCK nor VmPin shows such pins, only the ledger.
  ///
  /// - Throws: EINVAL for a range beyond the object, or an object that is no memfd; ENOMEM without memory or where pages
  ///   cannot stay; EINTR for a fatal signal. Nothing is pinned then.
  /// - Kernel: drivers/dma-buf/udmabuf.c:udmabuf_create (6.12); without the DMA buffer, its limits of number and size, seals,
  ///   EBADFD for an object that is no memory file, hugetlb files.
  public func pinFile(
    _ object: ObjectHandle, from first: Int, pages: Int, by process: Process,
    purpose: PinLabel = PinLabel("udmabuf")
  ) throws(PinError) -> PinnedPages {
    tick()
    return try pins.pinFile(object, from: first, pages: pages, by: process, purpose)
  }
}

extension Pins {
  fileprivate func pinFile(
    _ object: ObjectHandle, from first: Int, pages: Int, by process: Process, _ purpose: PinLabel
  ) throws(PinError) -> PinnedPages {
    var batches = try beginFile(object.id, from: UInt64(first), pages: pages, by: process, purpose: purpose)
    do throws(PinError) { try batches.refill(atMost: pages) } catch {
      batches.giveBack(markDirty: false)
      throw error
    }
    return batches.held()
  }
}
