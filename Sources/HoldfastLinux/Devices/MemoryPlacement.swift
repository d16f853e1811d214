import CLinux
import SystemPackage

/// The node that memory is on, and that it is to be on.
enum MemoryPlacement {
  /// What move_pages reports of one page.
  enum Status: Sendable, Hashable, CustomStringConvertible {
    /// It is on this node.
    case node(Int)
    /// It is not present, or stayed where it was, for this reason.
    ///
    /// `.noSuchFileOrDirectory` not present, `.resourceBusy` cannot be isolated now, `.permissionDenied`
    /// mapped by several processes, `.badAddress` no such memory or the zero page, `.noMemory` none on the
    /// node.
    case failed(Errno)

    /// The node's number or the error's text.
    var description: String {
      switch self {
      case .node(let node): "node \(node)"
      case .failed(let errno): "\(errno)"
      }
    }
  }

  /// The nodes that a range's memory is to come from: mm/mempolicy.c:do_mbind (6.1).
  enum Policy: Int32, Sendable, CaseIterable {
    case system = 0
    case preferred = 1
    case bind = 2
    case interleave = 3
    case local = 4
  }

  /// Whether mbind also moves pages that are elsewhere.
  enum Moving: UInt32, Sendable {
    case none = 0
    /// Only reports `.ioError` if there are any.
    case strict = 1
    /// Moves pages that only this process maps; `.ioError` if some could not be moved.
    case own = 3
    /// Moves all pages; `.ioError` if some could not be moved.
    case all = 5
  }

  /// The system call move_pages: moves each page to its node, and returns where each is then.
  ///
  /// The kernel's side is mm/migrate.c:kernel_move_pages (6.1). `all` also moves pages that several processes
  /// map. The count is of pages that did not move although they could have been tried, which 6.1 returns as
  /// the call's result. A page that the kernel has not reached keeps `.failed` with `.notSupported`.
  static func move(
    _ pages: [(address: UInt64, node: Int)], process: Int32 = 0, all: Bool = false
  ) throws(Errno) -> (statuses: [Status], unmoved: Int) {
    let nodes = pages.map { Int32(truncatingIfNeeded: $0.node) }
    return try call(pages.map(\.address), nodes, process, all ? 4 : 2)
  }

  /// Where each page is, without moving any.
  static func nodes(of addresses: [UInt64], process: Int32 = 0) throws(Errno) -> [Status] {
    try call(addresses, nil, process, 0).statuses
  }

  private static func call(
    _ addresses: [UInt64], _ nodes: [Int32]?, _ process: Int32, _ flags: Int32
  ) throws(Errno) -> (statuses: [Status], unmoved: Int) {
    var statuses = [Int32](repeating: -Errno.notSupported.rawValue, count: addresses.count)
    let result = hf_move_pages(process, addresses.count, addresses, nodes, &statuses, flags)
    let unmoved = try systemCall(result)
    let read = statuses.map { $0 >= 0 ? Status.node(Int($0)) : .failed(Errno(rawValue: -$0)) }
    return (read, Int(unmoved))
  }

  /// Sets the policy of a range, for nodes 0 to 63.
  static func bind(
    address: UInt64, byteCount: Int, policy: Policy, nodes: [Int], moving: Moving = .none
  ) throws(Errno) {
    guard nodes.allSatisfy({ (0..<64).contains($0) }) else { throw .invalidArgument }
    let mask = nodes.reduce(into: UInt64(0)) { $0 |= 1 << UInt64($1) }
    try systemCall(hf_mbind(address, byteCount, policy.rawValue, mask, moving.rawValue))
  }
}
