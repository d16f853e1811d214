import Glibc
import HoldfastScenario
import SystemPackage
import Testing

@testable import HoldfastLinux

/// The size of a page here.
private let page = Int(sysconf(Int32(_SC_PAGESIZE)))

/// The error that `body` throws, or nil.
private func errno(_ body: () throws(Errno) -> Void) -> Errno? {
  do throws(Errno) {
    try body()
    return nil
  } catch { return error }
}

/// Fresh memory, filled by `seed`, unmapped afterwards.
private func withMemory<T>(
  _ pages: Int, _ kind: MemoryCalls.Kind = .anonymous, seed: UInt64 = 1, _ body: (UInt64) throws -> T
) throws -> T {
  let memory = try MemoryCalls.map(kind, byteCount: pages * page)
  defer {
    try? MemoryCalls.unmap(address: memory.address, byteCount: memory.byteCount)
    try? memory.file?.close()
  }
  if kind == .anonymous {
    try MemoryCalls.advise(address: memory.address, byteCount: pages * page, .noHugePage)
  }
  try GuardedMemory.fill(memory.address, byteCount: pages * page, .sequence(seed: seed), fromPage: 0)
  return try body(memory.address)
}

@Suite struct GuardedMemoryTests {
  @Test(
    "An access that the processor refuses gives EFAULT, and says how far it came",
    arguments: [(Protection(), 0), (.read, 1), (.readWrite, 2)])
  func protections(protection: Protection, allowed: Int) throws {
    try withMemory(2) { address in
      try MemoryCalls.protect(address: address + UInt64(page), byteCount: page, protection)
      let second = address + UInt64(page)
      #expect(
        errno { () throws(Errno) in try GuardedMemory.touch(second, .read) }
          == (allowed > 0 ? nil : .badAddress))
      #expect(
        errno { () throws(Errno) in try GuardedMemory.touch(second, .write) }
          == (allowed > 1 ? nil : .badAddress))
      var fault: GuardedMemory.Fault?
      do throws(GuardedMemory.Fault) {
        try GuardedMemory.fill(address, byteCount: 2 * page, .sequence(seed: 5), fromPage: 0)
      } catch { fault = error }
      #expect(fault?.done == (allowed > 1 ? nil : page) && fault?.signal == (allowed > 1 ? nil : SIGSEGV))
      #expect(
        try GuardedMemory.firstDifference(address, byteCount: page, .sequence(seed: 5), fromPage: 0) == nil)
      try GuardedMemory.write([0], to: address + 17)
      #expect(
        try GuardedMemory.firstDifference(address, byteCount: page, .sequence(seed: 5), fromPage: 0) == 16)
    }
  }

  @Test("beyond the end of a file SIGBUS ends an access, and several threads can meet it at once")
  func beyondFile() throws {
    let memory = try MemoryCalls.map(.memfd(shared: true), byteCount: page)
    let file = try #require(memory.file)
    defer {
      try? MemoryCalls.unmap(address: memory.address, byteCount: page)
      try? file.close()
    }
    #expect(ftruncate(file.rawValue, 0) == 0)
    let address = memory.address
    var threads: [pthread_t] = []
    for _ in 0..<4 {
      var thread = pthread_t()
      let context = UnsafeMutableRawPointer(bitPattern: UInt(address))
      pthread_create(
        &thread, nil,
        { context in
          var faults = 0
          for _ in 0..<200 {
            do throws(GuardedMemory.Fault) {
              _ = try GuardedMemory.read(UInt64(UInt(bitPattern: context)), count: 8)
            } catch { faults += error.signal == SIGBUS && error.done == 0 ? 1 : 0 }
          }
          return UnsafeMutableRawPointer(bitPattern: faults)
        }, context)
      threads.append(thread)
    }
    for thread in threads {
      var result: UnsafeMutableRawPointer?
      pthread_join(thread, &result)
      #expect(Int(bitPattern: result) == 200)
    }
  }
}

@Suite struct MemoryCallTests {
  @Test("every kind of mapping holds what is stored, and moves with its content")
  func kinds() throws {
    let kinds: [MemoryCalls.Kind] = [
      .anonymous, .sharedAnonymous, .memfd(shared: true), .memfd(shared: false),
    ]
    for kind in kinds {
      try withMemory(4, kind, seed: 3) { address in
        #expect(
          try GuardedMemory.firstDifference(address, byteCount: 4 * page, .sequence(seed: 3), fromPage: 0)
            == nil)
        let words = try HostProcess.current.pagemap(address..<address + UInt64(4 * page))
        #expect(
          words.allSatisfy {
            $0.isPresent && $0.isFileOrShared == (kind != .anonymous && kind != .memfd(shared: false))
          })
      }
    }
    let old = try MemoryCalls.map(.anonymous, byteCount: 2 * page)
    try GuardedMemory.fill(old.address, byteCount: 2 * page, .sequence(seed: 8), fromPage: 0)
    let spare = try MemoryCalls.map(.anonymous, byteCount: 2 * page)
    let new = try MemoryCalls.remap(
      address: old.address, byteCount: 2 * page, newByteCount: 2 * page, target: spare.address)
    defer { try? MemoryCalls.unmap(address: new, byteCount: 2 * page) }
    #expect(new == spare.address)
    #expect(
      try GuardedMemory.firstDifference(new, byteCount: 2 * page, .sequence(seed: 8), fromPage: 0) == nil)
    #expect(errno { () throws(Errno) in try GuardedMemory.touch(old.address, .read) } == .badAddress)
    #expect(
      errno { () throws(Errno) in
        _ = try MemoryCalls.map(.anonymous, byteCount: page, at: new)
      } == .fileExists)
    let aligned = try MemoryCalls.map(.anonymous, byteCount: page, alignment: 1 << 21)
    #expect(aligned.address.isMultiple(of: 1 << 21))
    try MemoryCalls.unmap(address: aligned.address, byteCount: page)
  }

  @Test(
    "advice does to the pages what the kernel says of it",
    arguments: [
      (Advice.dontNeed, Errno?.none, false), (.cold, nil, true), (.dontFork, nil, true),
      (.hugePage, nil, true), (.populateWrite, nil, true), (.remove, .invalidArgument, true),
    ])
  func advice(advice: Advice, error: Errno?, present: Bool) throws {
    try withMemory(4) { address in
      let refused = errno { () throws(Errno) in
        try MemoryCalls.advise(address: address, byteCount: 4 * page, advice)
      }
      // A kernel without huge pages does not know the word.
      guard refused == error else {
        #expect(advice == .hugePage && refused == .invalidArgument)
        return
      }
      let words = try HostProcess.current.pagemap(address..<address + UInt64(4 * page))
      #expect(words.allSatisfy { $0.isPresent == present })
    }
  }

  @Test("populating what may not be written fails as an access does; holes are ENOMEM")
  func populate() throws {
    try withMemory(3) { address in
      try MemoryCalls.protect(address: address, byteCount: page, .read)
      #expect(
        errno { () throws(Errno) in
          try MemoryCalls.advise(address: address, byteCount: page, .populateWrite)
        } == .invalidArgument)
      try MemoryCalls.unmap(address: address + UInt64(page), byteCount: page)
      #expect(
        errno { () throws(Errno) in
          try MemoryCalls.advise(address: address, byteCount: 3 * page, .populateRead)
        } == .noMemory)
      let here = try MemoryPlacement.nodes(of: [address, address + UInt64(page)])
      #expect(here[1] == .failed(.badAddress))
    }
  }

  @Test("a child ends as it says, and a signal without SA_RESTART is counted")
  func children() throws {
    for status: Int32 in [0, 7] {
      switch try ProcessCalls.fork() {
      case .child: _exit(status)
      case .parent(let child): #expect(try ProcessCalls.wait(for: child) == .exited(status))
      }
    }
    try ProcessCalls.interruptCalls(on: [SIGUSR2])
    let before = ProcessCalls.interruptions(by: SIGUSR2)
    try ProcessCalls.send(SIGUSR2, to: getpid(), thread: ProcessCalls.currentThread)
    #expect(ProcessCalls.interruptions(by: SIGUSR2) == before + 1)
  }
}

@Suite(.serialized) struct DeviceTests {
  @Test(
    "the device writes and reads the frames that were pinned, not what is mapped later",
    HostPinTests.available)
  func registeredBuffers() throws {
    try withMemory(8) { address in
      let pin = try RegisteredBuffers(address: address, byteCount: 8 * page)
      try pin.store([9, 8, 7], at: page - 1)
      #expect(try GuardedMemory.read(address + UInt64(page) - 1, count: 3) == [9, 8, 7])
      try MemoryCalls.advise(address: address, byteCount: 8 * page, .dontNeed)
      #expect(try GuardedMemory.read(address + UInt64(page) - 1, count: 3) == [0, 0, 0])
      #expect(try pin.contents(page - 1..<page + 2) == [9, 8, 7])
      var beyond: Errno?
      do throws(Errno) { _ = try pin.contents(0..<8 * page + 1) } catch { beyond = error }
      #expect(beyond == .badAddress)
      try pin.release()
    }
  }

  @Test("a pipe's references see stores, and outlive the mapping of their pages")
  func pipeReferences() throws {
    try withMemory(20) { address in
      let references = try PipeReferences(address: address, byteCount: 20 * page)
      #expect(references.byteCount == 20 * page)
      try GuardedMemory.write([1, 2, 3], to: address)
      try MemoryCalls.advise(address: address, byteCount: 20 * page, .dontNeed)
      var first = [UInt8](repeating: 0, count: 3)
      #expect(try references.drain(into: &first) == 3 && first == [1, 2, 3])
      #expect(try references.drain().count == 20 * page - 3)
      #expect(try references.drain().isEmpty)
    }
  }

  @Test("direct transfers go from and to memory, or the file system refuses them whole")
  func directIO() throws {
    let memory = try MemoryCalls.map(.anonymous, byteCount: 2 * page)
    defer { try? MemoryCalls.unmap(address: memory.address, byteCount: memory.byteCount) }
    let (first, second) = (memory.address, memory.address + UInt64(page))
    try GuardedMemory.fill(first, byteCount: page, .sequence(seed: 6), fromPage: 0)
    let file: DirectIO
    do {
      file = try DirectIO(directory: "/var/tmp", byteCount: 4 * page)
    } catch {
      #expect(error == .invalidArgument)
      return
    }
    #expect(try file.write(at: UInt64(page), fromAddress: first, byteCount: page) == page)
    #expect(try file.read(at: UInt64(page), toAddress: second, byteCount: page) == page)
    #expect(
      try GuardedMemory.firstDifference(second, byteCount: page, .sequence(seed: 6), fromPage: 0) == nil)
  }

  @Test("what this kernel lacks is told by its error, not by a crash")
  func missing() throws {
    // Each is either there, for a guest, or says which file is not.
    do throws(Errno) { _ = try GupTestDriver() } catch { #expect(error == .noSuchFileOrDirectory) }
    do throws(Errno) { _ = try HMMirror() } catch { #expect(error == .noSuchFileOrDirectory) }
    let absent = readError { _ = try VFIOContainer(vendor: 0xfffe, device: 0xfffe) }
    #expect(absent?.errno == .noDevice || absent?.errno == .noSuchFileOrDirectory)
  }

  @Test(
    "snapshot bytes, kernel log records and frame words are decoded, or refused",
    arguments: [
      (UInt8(0xff), "error"), (0x00, "none"), (0x11, "zero read"), (0x22, "private-local write"),
      (0x0e, "write pmd pud"), (0x03, nil), (0x70, nil),
    ])
  func decoding(byte: UInt8, text: String?) {
    #expect(HMMirror.PageState(byte: byte)?.description == text)
    let record = KernelLog.Record("4,292,1471228,-;a \\x0a b\n KEY=value\n".utf8.map(\.self))
    #expect(record?.text == "a \n b" && record?.level == 4 && record?.sequence == 292)
    #expect(KernelLog.Record([0x41, 0x42]) == nil)
    let flags: FrameWords.Flags = [.lru, .anonymous, .mlocked]
    #expect(flags.description == "lru,anonymous,mlocked" && FrameWords.Flags().description == "none")
  }
}
