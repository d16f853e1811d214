/// What a ground lets expectations look at: reads alone, whose comparison is everywhere the same.
package protocol ObservedGround {
  /// A frame's number.
  associatedtype Frame: Hashable & Sendable
  /// A page as the ground sees it.
  associatedtype Page: ObservedPage

  /// What keeps the counters, in a sentence.
  static var keeper: String { get }

  /// The counters of /proc/vmstat of these names, as far as the ground keeps them.
  func counters(_ names: [String]) -> [String: Int64]
  /// The zones now.
  func zoneRecords() -> [ZoneRecord]
  /// The memory blocks now.
  func blockRecords() -> [BlockRecord]
  /// The frames of a part of a region, nil where nothing is mapped; empty if the region is not there.
  func frames(of range: Verb.RegionRange) -> [Frame?]
  /// The frames that a pin holds, nil where a page was given back; nil if nothing is held under that name.
  func frames(ofPin name: String) -> [Frame?]?
  /// By page of a pin: whether the address that it was taken through is mapped to the pinned frame.
  func coherence(ofPin name: String) throws(NotSeen) -> [Bool]
  /// What the pages of a part of a region hold, as digests.
  func digests(of range: Verb.RegionRange) -> [UInt64?]
  /// Something that shows the page at a place among these, as far as the filter asks for it.
  ///
  /// - Parameter range: the region through which they are seen; nil for the pages of a pin.
  func pages(
    _ frames: [Frame?], of range: Verb.RegionRange?, for filter: Subject.PageFilter
  ) throws(NotSeen) -> (Int) -> Page
  /// The owners of pins in these blocks.
  func holders(in blocks: [BlockRecord]) -> Observation
  /// A number of the process of that name, or nil if it has ended.
  func number(_ value: Subject.ProcessValue, ofProcess name: String) throws(NotSeen) -> Int64?
  /// A number of a contiguous memory area.
  func number(_ value: Subject.AreaValue, ofArea name: String) throws(NotSeen) -> Int64
}

/// A ground cannot see something; says why.
package struct NotSeen: Error, Sendable, Equatable {
  /// The reason.
  package let why: String
  /// For that reason.
  package init(_ why: String) { self.why = why }
}

/// What is true of one page; nil where the ground does not see it, or there is no frame that it could be true of.
///
/// Only what a filter asks for is read: on an explored machine every read is an operation that others can come
/// before.
package protocol ObservedPage {
  var zone: ZoneKind? { get }
  var node: Int? { get }
  var migratetype: MigrateType? { get }
  var pinnable: Bool? { get }
  var maybePinned: Bool? { get }
  var dirty: Bool? { get }
  var references: Int? { get }
  var pincount: Int? { get }
  var mappings: Int? { get }
  var order: Int? { get }
  var swapped: Bool? { get }
  var exclusive: Bool? { get }
  var softDirty: Bool? { get }
}

extension Subject.PageFilter {
  /// Whether the description fits a page.
  ///
  /// - Parameter moved: whether the page has another frame than it had; a page without a frame has not.
  /// - Parameter coherent: whether it is what its address is mapped to, for a page of a pin.
  func fits(isPresent: Bool, moved: Bool, coherent: Bool?, _ page: some ObservedPage) -> Bool {
    func differs<Value: Equatable>(_ wanted: Value?, _ found: @autoclosure () -> Value?) -> Bool {
      guard let wanted else { return false }
      return wanted != found()
    }
    if differs(present, isPresent) || differs(self.moved, moved) { return false }
    if differs(self.coherent, coherent) { return false }
    if differs(zone, page.zone) || differs(node, page.node) { return false }
    if differs(migratetype, page.migratetype) || differs(pinnable, page.pinnable) { return false }
    if differs(maybePinned, page.maybePinned) || differs(dirty, page.dirty) { return false }
    if differs(references, page.references) || differs(pincount, page.pincount) { return false }
    if differs(mappings, page.mappings) || differs(order, page.order) { return false }
    if differs(swapped, page.swapped) || differs(exclusive, page.exclusive) { return false }
    return !differs(softDirty, page.softDirty)
  }
}
