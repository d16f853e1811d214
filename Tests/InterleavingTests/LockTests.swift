import CLinux
import Interleaving
import TestThreads
import Testing

/// The primitives that everything else is built of.
@Suite struct LockTests {
  /// Words of a table: zeroed, stable, freed at the end.
  private final class Words: @unchecked Sendable {
    // Sendable: the pointer never changes; what it points to is reached through atomic cells and locks.
    let raw = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
    init() { raw.initializeMemory(as: UInt8.self, repeating: 0, count: 256) }
    deinit { raw.deallocate() }
    var row: Row { Row(raw) }
  }

  /// What the tests keep in their words.
  private enum WordsRow {
    static let lock = Field<UInt32>("lock", .atomic)
    static let one: Field<UInt64> = lock.next("one", .owner)
    static let other: Field<UInt64> = one.next("other", .owner)
    static let failed: Field<UInt64> = other.next("failed", .owner)
    static let reason: Field<UInt32> = failed.next("reason", .owner)
    static let bits: Field<UInt64> = reason.next("bits", .atomic)
    static let count: Field<Int32> = bits.next("count", .atomic)
  }

  @Test("a spin lock lets one thread in at a time")
  func spin() throws {
    let words = Words()
    let done = try together(3, rounds: 2000) { _, rounds in
      let lock = SpinLock(words.raw, rank: LockRank(rawValue: 1))
      for _ in rounds { lock.withLock { words.row[WordsRow.one] += 1 } }
    }
    #expect(words.row[WordsRow.one] == done.reduce(0, +))
  }

  @Test("a read-write lock keeps writers from everyone")
  func readWrite() throws {
    let words = Words()
    let done = try together(3, rounds: 1000) { thread, rounds in
      let lock = ReadWriteLock(words.raw, rank: LockRank(rawValue: 1))
      for _ in rounds {
        if thread == 0 {
          lock.lockShared()
          // Both halves are written under the exclusive lock, so a reader never sees them differ.
          if words.row[WordsRow.one] != words.row[WordsRow.other] {
            words.row[WordsRow.failed] = 1
          }
          lock.unlockShared()
        } else {
          lock.lockExclusive()
          words.row[WordsRow.one] += 1
          words.row[WordsRow.other] += 1
          lock.unlockExclusive()
        }
      }
    }
    #expect(words.row[WordsRow.one] == done[1] + done[2])
    #expect(words.row[WordsRow.failed] == 0)
    #expect(!ReadWriteLock(words.raw, rank: LockRank(rawValue: 1)).approximateIsHeld)
  }

  @Test("a bit lock leaves the other bits alone, and a count refuses what is not above zero")
  func bits() {
    let words = Words()
    let word = words.row.atomic(WordsRow.bits)
    word.store(0xf0)
    let lock = BitLock(word, bit: 1, rank: LockRank(rawValue: 1))
    #expect(lock.tryLock())
    #expect(!lock.tryLock())
    #expect(word.load() == 0xf1)
    lock.unlock()
    #expect(word.load() == 0xf0)
    let count = words.row.atomic(WordsRow.count)
    for (start, taken) in [(Int32(0), false), (-1, false), (.min, false), (1, true), (.max, true)] {
      count.store(start)
      #expect(count.addIfPositive(1) == taken)
      #expect(count.load() == (taken ? start &+ 1 : start))
    }
  }

  @Test("a thread that must wait runs its handler, if it has one")
  func waiting() {
    let words = Words()
    let lock = SpinLock(words.raw, rank: LockRank(rawValue: 1))
    words.row.atomic(WordsRow.lock).store(1)
    // The handler frees the lock, as another actor would.
    hf_set_wait_handler(
      { context, reason in
        guard let context else { return }
        Row(context).atomic(WordsRow.lock).store(0)
        Row(context)[WordsRow.reason] = reason + 1
      }, words.raw)
    lock.lock()
    lock.unlock()
    hf_set_wait_handler(nil, nil)
    #expect(words.row[WordsRow.reason] == WaitReason.lock.rawValue + 1)
  }

  #if DEBUG
  @Test("taking a lock of a lower rank after one of a higher rank ends the program in debug builds")
  func order() async {
    await #expect(processExitsWith: .failure) {
      let words = Words()
      SpinLock(words.raw, rank: LockRank(rawValue: 2)).lock()
      SpinLock(words.raw + 4, rank: LockRank(rawValue: 1)).lock()
    }
    await #expect(processExitsWith: .success) {
      let words = Words()
      let first = SpinLock(words.raw, rank: LockRank(rawValue: 1))
      let second = SpinLock(words.raw + 4, rank: LockRank(rawValue: 2))
      first.lock()
      second.lock()
      first.unlock()
      second.unlock()
      // Trying never waits, so it may come out of order.
      second.lock()
      _ = first.tryLock()
    }
  }
  #endif
}
