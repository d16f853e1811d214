import SystemPackage

extension Errno {
  /// EHWPOISON, which swift-system has no name for: the page is poisoned.
  static var poisonedPage: Errno { Errno(rawValue: 133) }
}
