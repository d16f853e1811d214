import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// Loads and stores of this process that may meet memory it cannot access; they fail instead of ending it.
///
/// They are real accesses, with the faults of the processor. The first one installs handlers for SIGSEGV and
/// SIGBUS, which pass on signals of other origin.
enum GuardedMemory {
  /// Why an access failed.
  struct Fault: Error, Sendable, Hashable {
    /// SIGSEGV or SIGBUS.
    var signal: Int32
    /// The signal's code: SEGV_MAPERR 1, SEGV_ACCERR 2; BUS_ADRERR 2, BUS_MCEERR_AR 4.
    var code: Int32
    /// The address as the kernel reports it.
    var address: UInt64
    /// Number of bytes that were accessed before.
    var done: Int

    /// EHWPOISON for poisoned memory, else `.badAddress`.
    var errno: Errno { signal == SIGBUS && code >= 4 ? .hardwarePoison : .badAddress }
  }

  /// Accesses one byte; its value is the result.
  @discardableResult
  static func touch(_ address: UInt64, _ access: AccessWord) throws(Errno) -> UInt8 {
    do throws(Fault) {
      var byte = try read(address, count: 1)
      if access == .write { try write(byte, to: address) }
      return byte.removeLast()
    } catch {
      throw error.errno
    }
  }

  /// The bytes at an address.
  static func read(_ address: UInt64, count: Int) throws(Fault) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var fault = hf_access_fault()
    let done = bytes.withUnsafeMutableBytes { hf_guarded_load(address, $0.baseAddress, $0.count, &fault) }
    try check(fault, done)
    return bytes
  }

  /// Stores bytes at an address.
  static func write(_ bytes: [UInt8], to address: UInt64) throws(Fault) {
    var fault = hf_access_fault()
    let done = bytes.withUnsafeBytes { hf_guarded_store(address, $0.baseAddress, $0.count, &fault) }
    try check(fault, done)
  }

  /// Stores words of a pattern, the first of which is that of the given page.
  static func fill(_ address: UInt64, byteCount: Int, _ pattern: Pattern, fromPage page: Int) throws(Fault) {
    var fault = hf_access_fault()
    let done = hf_guarded_fill(address, byteCount, words(pattern, page), &fault)
    try check(fault, done)
  }

  /// The offset of the first word that is not the pattern's, or nil if all are.
  static func firstDifference(
    _ address: UInt64, byteCount: Int, _ pattern: Pattern, fromPage page: Int
  ) throws(Fault) -> Int? {
    var fault = hf_access_fault()
    let done = hf_guarded_compare(address, byteCount, words(pattern, page), &fault)
    try check(fault, done)
    return done < byteCount & ~7 ? done : nil
  }

  /// A digest of a range's bytes.
  static func digest(_ address: UInt64, byteCount: Int) throws(Fault) -> UInt64 {
    var fault = hf_access_fault()
    var digest: UInt64 = 0
    let done = hf_guarded_digest(address, byteCount, &digest, &fault)
    try check(fault, done)
    return digest
  }

  private static func words(_ pattern: Pattern, _ page: Int) -> hf_words {
    let (step, key) = pattern.linear
    return hf_words(first: UInt64(page) << 9, step: step, key: key)
  }

  private static func check(_ fault: hf_access_fault, _ done: Int) throws(Fault) {
    guard fault.signal == 0 else {
      throw Fault(signal: fault.signal, code: fault.code, address: fault.address, done: done)
    }
  }
}
