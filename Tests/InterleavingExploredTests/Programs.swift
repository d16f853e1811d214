import CLinux
import Interleaving

/// Words that actors share, and programs over them whose executions can be counted by hand.
final class Words {
  let raw = UnsafeMutableRawPointer.allocate(byteCount: Words.size, alignment: 64)
  static let size = 1024

  init() { clear() }
  deinit { raw.deallocate() }

  func clear() { raw.initializeMemory(as: UInt8.self, repeating: 0, count: Self.size) }
  /// The word of a number: each is of its own eight bytes.
  func word(_ index: Int) -> AtomicUInt64 { AtomicUInt64(raw + index * 8) }
  func small(_ index: Int) -> AtomicUInt32 { AtomicUInt32(raw + index * 8) }
  func lock(_ index: Int, rank: UInt8 = 1) -> SpinLock {
    SpinLock(raw + index * 8, rank: LockRank(rawValue: rank))
  }
  func value(_ index: Int) -> UInt64 { (raw + index * 8).load(as: UInt64.self) }
  func plain(_ index: Int) -> UInt64 { Row(raw)[Self.plainWords, index] }
  func setPlain(_ index: Int, _ value: UInt64) { Row(raw)[Self.plainWords, index] = value }
  private static let plainWords = FieldArray<UInt64>("word", .owner, count: size / 8)

  var hash: UInt64 {
    var hash = Hash64()
    hash.combine(memory: UnsafeRawBufferPointer(start: raw, count: Self.size))
    return hash.value
  }

  /// A program of these words, which are zero when it begins.
  func program(_ name: String, steps: [String] = [], _ bodies: (() throws -> Void)...) -> ExploredProgram {
    ExploredProgram(
      identity: name,
      actors: bodies.enumerated().map { .init(name: "actor \($0.offset)", body: $0.element) },
      stepNames: steps,
      restore: clear, stateHash: { [unowned self] in hash })
  }

  // MARK: - Programs of known size

  /// Each actor locks, reads, writes, unlocks and counts for itself, four times.
  func mixed(_ count: Int) -> ExploredProgram {
    same("mixed", count) { [self] actor in
      for _ in 0..<4 {
        lock(0).lock()
        word(1).store(word(1).load(.relaxed) + 1, .relaxed)
        lock(0).unlock()
        word(8 + actor).fetchAdd(1)
      }
    }
  }

  /// Each actor counts for itself, and twice for all.
  func independent(_ count: Int) -> ExploredProgram {
    same("independent", count) { [self] actor in
      for step in 0..<20 { (step % 10 == 9 ? word(0) : word(8 + actor)).fetchAdd(1) }
    }
  }

  /// Each actor counts for all, so many times.
  func shared(_ count: Int, _ steps: Int) -> ExploredProgram {
    same("shared", count) { [self] _ in
      for _ in 0..<steps { word(0).fetchAdd(1) }
    }
  }

  private func same(_ name: String, _ count: Int, _ body: @escaping (Int) -> Void) -> ExploredProgram {
    ExploredProgram(
      identity: "\(name) \(count)",
      actors: (0..<count).map { actor in .init(name: "actor \(actor)") { body(actor) } }, restore: clear,
      stateHash: { [unowned self] in hash })
  }

  // Word 0 the entry (7: the page is mapped), 1 its count, 2 the table's lock, 3 pages reused under a reference.

  /// One fast pin: look, take a reference, look again, give up or give back.
  private func fastPin(flawed: Bool) {
    guard word(0).load() == 7 else { return }
    let count = AtomicInt32(raw + 8)
    if flawed {
      count.fetchAdd(1)
    } else if !count.addIfPositive(1) {
      return
    }
    if word(0).load() == 7 { word(3).load() }
    count.fetchAdd(-1)
  }

  /// Fast pins against an unmapping that takes the entry away and freezes the count.
  func fastPins(_ rounds: [Int], flawed: Bool = false) -> ExploredProgram {
    var actors = rounds.enumerated().map { actor, count in
      ExploredProgram.Actor(name: "pin \(actor)") { [self] in
        for _ in 0..<count { fastPin(flawed: flawed) }
      }
    }
    actors.append(
      .init(name: "unmap") { [self] in
        lock(2).lock()
        word(0).store(0)
        if AtomicInt32(raw + 8).compareExchange(1, 0).exchanged, flawed { word(3).store(1) }
        lock(2).unlock()
      })
    return ExploredProgram(
      identity: "pins \(rounds) \(flawed)", actors: actors,
      restore: { [self] in
        clear()
        (raw + 0).storeBytes(of: 7, as: UInt64.self)
        (raw + 8).storeBytes(of: 1, as: Int32.self)
      }, stateHash: { [unowned self] in hash })
  }
}

extension AtomicUInt64 {
  /// A read for its own sake.
  fileprivate func load() { _ = load(.acquire) }
}

extension Exploration {
  /// The traces of all executions of a program that go to their ends.
  static func traces(
    of program: ExploredProgram, strategy: ExplorationStrategy, settings: ExplorationSettings = .init(),
    onTrace: @escaping (UInt64) -> Void
  ) throws(ExplorationError) -> ExplorationReport {
    var job = ExplorationJob(program)
    job.onTrace = onTrace
    return try run([job], strategy: strategy, settings: settings)
  }
}
