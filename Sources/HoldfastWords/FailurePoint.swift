/// A place at which a failure can be asked for, to see that nothing leaks.
public enum FailurePoint: String, Sendable, Hashable, Codable, CaseIterable {
  /// Taking frames from the allocator finds no memory.
  case allocation
  /// A page cannot be taken off its LRU list.
  case isolation
  /// The contents of a page cannot be copied to its new frame.
  case copy
  /// The charge against RLIMIT_MEMLOCK is refused.
  case memlock
  /// A page's lock cannot be had by trying.
  case pageLock = "page-lock"
  /// A mapping of a page cannot be replaced.
  case unmap
  /// A row of a table cannot be had: a mapping's, a pin's.
  case table
  /// A bystander has a reference on a folio while somebody compares its count.
  case reference
  /// A memory notifier refuses a block's way in or out of use.
  case notifier

  /// The number of points.
  @inlinable @_transparent
  public static var count: Int { 9 }

  /// The place among all of them.
  @inlinable @inline(__always)
  public var number: Int {
    switch self {
    case .allocation: 0
    case .isolation: 1
    case .copy: 2
    case .memlock: 3
    case .pageLock: 4
    case .unmap: 5
    case .table: 6
    case .reference: 7
    case .notifier: 8
    }
  }
}
