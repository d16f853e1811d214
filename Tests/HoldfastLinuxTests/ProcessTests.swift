import Foundation
import Glibc
import HoldfastLinux
import Testing

/// Pages of our own, each touched or not.
private func withPages<T>(_ count: Int, touched: Bool, _ body: (UInt) throws -> T) throws -> T {
  let size = count * Int(sysconf(Int32(_SC_PAGESIZE)))
  let memory = try #require(mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
  defer { munmap(memory, size) }
  if touched { memset(memory, 1, size) }
  return try body(UInt(bitPattern: memory))
}

@Suite struct ProcessTests {
  @Test("the areas of this process add up to its own Size lines")
  func areas() throws {
    let areas = try HostProcess.current.areas()
    #expect(areas.count > 10 && areas.contains { $0.path == "[stack]" })
    #expect(areas.reduce(0) { $0 + $1.kibibytes } == areas.reduce(0) { $0 + ($1.sizes["Size"] ?? 0) })
    #expect(areas.allSatisfy { $0.rss <= $0.kibibytes && !$0.flags.isEmpty })
    let gone = readError { _ = try HostProcess(id: .max).areas() }
    #expect(gone?.found == "no process 2147483647")
    #expect(readError { _ = try HostProcess(id: .max).pagemap(0..<4096) }?.found == "no process 2147483647")
  }

  @Test("pagemap tells touched pages from untouched ones, within bounds that are checked")
  func pagemap() throws {
    let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
    for touched in [true, false] {
      try withPages(5, touched: touched) { address in
        let start = UInt64(address)
        let words = try HostProcess.current.pagemap(start..<start + 4 * page + 1)
        #expect(words.count == 5 && words.allSatisfy { $0.isPresent == touched })
      }
    }
    #expect(try HostProcess.current.pagemap(4096..<4096).isEmpty)
    #expect(try HostProcess.current.pagemap(UInt64.max - 1..<UInt64.max).isEmpty)
    #expect(
      readError { _ = try HostProcess.current.pagemap(0..<UInt64.max) }?.expected.contains("16777216") == true
    )
  }
}

@Suite(.serialized) struct HostPinTests {
  /// Why the host kernel cannot pin for us here, or nil.
  static let obstacle: String? = {
    var byte = [UInt8](repeating: 0, count: 1)
    return byte.withUnsafeMutableBytes { buffer in
      do {
        try HostPin(buffer).release()
        return nil
      } catch { return "io_uring registered buffers: \(error)" }
    }
  }()

  static let available = ConditionTrait.enabled(if: obstacle == nil, "\(obstacle ?? "")")

  /// The kernel's own count of the pages that are pinned for this process, in KiB.
  func pinned() throws -> Int {
    let status = try HostFiles.live.text(of: "proc/self/status")
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmPin:") })
    return try #require(Int(line.split(whereSeparator: \.isWhitespace)[1]))
  }

  @Test("the host kernel counts the pages while the pin lives, and not after release or deinit", available)
  func pinAndRelease() throws {
    let before = try pinned()
    try withPages(64, touched: false) { address in
      let size = 64 * Int(sysconf(Int32(_SC_PAGESIZE)))
      let pin = try HostPin(address: address, byteCount: size)
      #expect(try pinned() == before + size >> 10)
      try pin.release()
      #expect(try pinned() == before)
      do {
        let dropped = try HostPin(address: address, byteCount: size)
        #expect(dropped.address == address && dropped.byteCount == size)
        #expect(try pinned() == before + size >> 10)
      }
      #expect(try pinned() == before)
    }
  }

  @Test("what cannot be pinned whole is not pinned at all", available)
  func refusals() throws {
    let before = try pinned()
    try withPages(2, touched: true) { address in
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      munmap(UnsafeMutableRawPointer(bitPattern: address + UInt(page)), page)
      for (start, size) in [(address, 2 * page), (address, 0), (0, page), (address, -1)] {
        var name = "none"
        do { try HostPin(address: start, byteCount: size).release() } catch { name = "\(error)" }
        #expect(name == "Bad address")
      }
    }
    #expect(try pinned() == before)
  }
}
