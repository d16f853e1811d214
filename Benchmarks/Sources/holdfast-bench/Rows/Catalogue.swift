/// Every row, in the order of the table.
let catalogue = engineRows + floorRows

/// The engine beside its twins.
let engineRows: [Row] = []

/// The twins alone.
let floorRows: [Row] = [
  .pin(pages: pinBatch), .pin(pages: 16_384), .pinTwoThreads(), .pinHuge(),
  .allocation(order: 0, count: 1), .allocation(order: 0, count: 256), .allocation(order: 0, count: 4096),
  .allocationTwoThreads(order: 0, count: 256, scales: true),
  .allocationTwoThreads(order: 0, count: 4096, scales: false),
  .allocation(order: 9, count: 1), .allocation(order: 9, count: 128),
  .allocationTwoThreads(order: 9, count: 1, scales: true),
  .allocationTwoThreads(order: 9, count: 128, scales: false),
  .migration(), .offline(), .hotRemove(), .start(),
]
