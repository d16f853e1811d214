import CTwin
import Glibc
import Synchronization

/// Runs `body` on `count` threads at once, thread i on the i-th CPU that this process may use.
///
/// The caller is thread 0. Returns what each thread returned; an error of any thread is thrown.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> UInt64) throws -> [UInt64] {
  let gate = Gate(parties: count)
  let others = (1..<max(count, 1)).map { index in
    Worker(index: index, gate: gate, body: body)
  }
  for worker in others {
    guard worker.start() else {
      gate.open()
      throw Unavailable("pthread_create failed")
    }
  }
  _ = twin_bind_cpu(0)
  gate.pass()
  let first = Result { try body(0) }
  var results = [first]
  for worker in others {
    results.append(worker.join())
  }
  return try results.map { try $0.get() }
}

/// Lets threads through when all have come, spinning, so that they start within a microsecond.
private final class Gate: Sendable {
  private let waiting: Atomic<Int>

  init(parties: Int) {
    waiting = Atomic(parties)
  }

  func pass() {
    waiting.subtract(1, ordering: .acquiringAndReleasing)
    while waiting.load(ordering: .acquiring) > 0 {
      sched_yield()
    }
  }

  func open() {
    waiting.store(0, ordering: .releasing)
  }
}

/// A thread and its result, which the thread writes and others read after the join.
private final class Worker: @unchecked Sendable {
  private let index: Int
  private let gate: Gate
  private let body: @Sendable (Int) throws -> UInt64
  private var thread = pthread_t()
  private var result = Result<UInt64, any Error>.failure(Unavailable("the thread did not run"))

  init(index: Int, gate: Gate, body: @escaping @Sendable (Int) throws -> UInt64) {
    self.index = index
    self.gate = gate
    self.body = body
  }

  func start() -> Bool {
    let pointer = Unmanaged.passRetained(self).toOpaque()
    let created = pthread_create(
      &thread, nil,
      { pointer in
        guard let pointer else { return nil }
        Unmanaged<Worker>.fromOpaque(pointer).takeRetainedValue().run()
        return nil
      }, pointer)
    if created != 0 {
      Unmanaged<Worker>.fromOpaque(pointer).release()
    }
    return created == 0
  }

  func join() -> Result<UInt64, any Error> {
    pthread_join(thread, nil)
    return result
  }

  private func run() {
    _ = twin_bind_cpu(UInt32(index))
    gate.pass()
    result = Result { try body(index) }
  }
}
