/// Which flags who may give.
extension PinFlags {
  /// What only entry points set; mainline refuses it from callers.
  static let internalFlags: PinFlags = [.touch, .tried, .remote, .pin, .fastOnly]

  /// What the fast entry points accept.
  static let fastLegal: PinFlags = [.write, .longterm, .force, .pin, .get, .fastOnly, .noFault]
}
