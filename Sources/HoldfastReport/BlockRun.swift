import HoldfastScenario

/// Neighbouring memory blocks that began and ended alike.
struct BlockRun {
  /// Pages of all its blocks.
  struct Totals {
    // Each is nil where the ground cannot tell.
    var free: Int64? = 0
    var movable: Int64? = 0
    var pinned: Int64? = 0
    var unmovable: Int64? = 0

    mutating func add(_ block: BlockRecord?) {
      guard let block else { return }
      func sum(_ total: Int64?, _ count: Int64?) -> Int64? {
        count.flatMap { count in total.map { $0 + count } }
      }
      free = sum(free, block.free)
      movable = sum(movable, block.movable)
      pinned = sum(pinned, block.pinned)
      unmovable = sum(unmovable, block.unmovable)
    }
  }

  /// What makes two blocks alike.
  private struct Fate: Equatable {
    let node: Int
    let zoneBefore: ZoneKind?
    let zoneAfter: ZoneKind?
    let stateBefore: BlockState
    let stateAfter: BlockState
    /// A pin is worth a row of its own.
    let pinned: Bool
  }

  private let first: Int
  private var last: Int
  private let fate: Fate
  private(set) var before = Totals()
  private(set) var after = Totals()

  static func runs(before: [BlockRecord], after: [BlockRecord]) -> [BlockRun] {
    let old = Dictionary(before.map { ($0.index, $0) }) { first, _ in first }
    let new = Dictionary(after.map { ($0.index, $0) }) { first, _ in first }
    var runs: [BlockRun] = []
    for index in Set(old.keys).union(new.keys).sorted() {
      let (was, now) = (old[index], new[index])
      let fate = Fate(
        node: (was ?? now)?.node ?? 0, zoneBefore: was?.zone, zoneAfter: now?.zone,
        stateBefore: was?.state ?? .absent, stateAfter: now?.state ?? .absent,
        pinned: (was?.pinned ?? 0) > 0 || (now?.pinned ?? 0) > 0)
      if runs.isEmpty || runs[runs.count - 1].last != index - 1 || runs[runs.count - 1].fate != fate {
        runs.append(BlockRun(first: index, last: index, fate: fate))
      }
      runs[runs.count - 1].last = index
      runs[runs.count - 1].before.add(was)
      runs[runs.count - 1].after.add(now)
    }
    return runs
  }

  private init(first: Int, last: Int, fate: Fate) {
    self.first = first
    self.last = last
    self.fate = fate
  }

  var name: String { first == last ? "\(first)" : "\(first)-\(last)" }

  var zones: String {
    let old = fate.zoneBefore?.kernelName ?? "-"
    let new = fate.zoneAfter?.kernelName ?? "-"
    // An offline block lies in no zone; the one it left is what a reader looks for.
    return old == new || fate.stateAfter != .online ? old : "\(old) -> \(new)"
  }

  var states: String {
    stateChanged ? "\(fate.stateBefore.rawValue) -> \(fate.stateAfter.rawValue)" : fate.stateBefore.rawValue
  }

  var stateChanged: Bool { fate.stateBefore != fate.stateAfter }
}
