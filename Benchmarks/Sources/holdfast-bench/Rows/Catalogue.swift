/// Every row, in the order of the table.
let catalogue = engineRows + floorRows

/// The engine beside its twins.
let engineRows: [Row] = [
  .pin(pages: pinBatch, ours: .enginePin()),
  .pin(pages: 16_384, ours: .enginePin(pages: 16_384)),
  .pinTwoThreads(ours: .enginePin(threads: 2), oursAlone: .enginePin("\(engine) x1")),
  .pinHuge(ours: .enginePin(huge: true)), .fork(ours: .engineFork()),
  .map(huge: false, ours: .engineMap(pages: 16_384)),
  .map(huge: true, ours: .engineMap(pages: 16_384, huge: true)),
  .engineAllocation(order: 0, count: 1), .engineAllocation(order: 0, count: 256),
  .engineAllocation(order: 0, count: 4096),
  .engineAllocationTwoThreads(order: 0, count: 256, scales: true),
  .engineAllocationTwoThreads(order: 0, count: 4096, scales: false),
  .engineAllocation(order: 9, count: 1), .engineAllocation(order: 9, count: 128),
  .engineAllocationTwoThreads(order: 9, count: 1, scales: true),
  .engineAllocationTwoThreads(order: 9, count: 128, scales: false),
  .migration(ours: .engineMigration()), .offline(ours: .engineOffline()),
  .hotRemove(ours: .engineHotRemove()), .start(ours: .engineStart()),
  .exploreStep(ours: .explorer(inSteps: true)), .exploreExecution(ours: .explorer(inSteps: false)),
  .exploreScenario("two-pins", ours: .scenario("two-short-pins")),
  .exploreScenario("pin-unmap", ours: .scenario("pin-against-unmap")),
  .exploreScenarioSteps("pin-unmap", ours: .scenario("pin-against-unmap", inStepsOf: 10_000)),
  .exploreScenarioSteps("short-pin", ours: .scenario("short-pin", inStepsOf: 200)),
]

extension Row {
  fileprivate static func engineAllocation(order: Int, count: Int) -> Row {
    allocation(order: order, count: count, ours: .engineAllocation(order: order, count: count))
  }

  fileprivate static func engineAllocationTwoThreads(order: Int, count: Int, scales: Bool) -> Row {
    allocationTwoThreads(
      order: order, count: count, scales: scales,
      ours: .engineAllocation(order: order, count: count, threads: 2),
      oursAlone: .engineAllocation("\(engine) x1", order: order, count: count))
  }
}

/// The twins alone.
let floorRows: [Row] = [
  .pin(pages: pinBatch), .pin(pages: 16_384), .pinTwoThreads(), .pinHuge(), .fork(),
  .allocation(order: 0, count: 1), .allocation(order: 0, count: 256), .allocation(order: 0, count: 4096),
  .allocationTwoThreads(order: 0, count: 256, scales: true),
  .allocationTwoThreads(order: 0, count: 4096, scales: false),
  .allocation(order: 9, count: 1), .allocation(order: 9, count: 128),
  .allocationTwoThreads(order: 9, count: 1, scales: true),
  .allocationTwoThreads(order: 9, count: 128, scales: false),
  .migration(), .offline(), .hotRemove(), .start(),
]
