import CLinux
import Glibc
import SystemPackage

/// Processes and signals, as far as the actors of a scenario need them.
enum ProcessCalls {
  /// Which of the two processes continues after a fork.
  enum Side: Sendable, Hashable {
    case child
    case parent(child: Int32)
  }

  /// How a child ended.
  enum End: Sendable, Hashable {
    case exited(Int32)
    case signalled(Int32)
  }

  /// The system call fork, kernel/fork.c:copy_process (6.1); only the calling thread exists in the child.
  ///
  /// `.noMemory` also where a page of the parent could not be copied, or is locked while it is
  /// device-exclusive.
  static func fork() throws(Errno) -> Side {
    let identifier = try systemCall(hf_fork())
    return identifier == 0 ? .child : .parent(child: Int32(identifier))
  }

  /// The system call kill.
  static func send(_ signal: Int32, to process: Int32) throws(Errno) {
    try systemCall(hf_kill(process, signal))
  }

  /// The system call tgkill: to one thread of a process, which may wait in the kernel.
  static func send(_ signal: Int32, to process: Int32, thread: Int32) throws(Errno) {
    try systemCall(hf_kill_thread(process, thread, signal))
  }

  /// Waits until a child has ended.
  static func wait(for child: Int32) throws(Errno) -> End {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 {
      let error = Errno(rawValue: errno)
      guard error == .interrupted else { throw error }
    }
    let signal = status & 0x7f
    return signal == 0 ? .exited(status >> 8 & 0xff) : .signalled(signal)
  }

  /// Lets these signals interrupt the system call that a thread is in, instead of ending the process.
  ///
  /// Without SA_RESTART, so that the call ends with EINTR.
  static func interruptCalls(on signals: [Int32] = [SIGTERM, SIGUSR1]) throws(Errno) {
    for signal in signals { try systemCall(hf_interrupt_on(signal)) }
  }

  /// Number of such signals that this process has received.
  static func interruptions(by signal: Int32) -> UInt64 { hf_interruptions(signal) }

  /// The calling thread's identifier, which `send(_:to:thread:)` takes.
  static var currentThread: Int32 { hf_thread_id() }
}
