/// Numbers with a noun.
public enum Plural {
  /// `1 scenario`, `2 scenarios`.
  public static func text(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }
}
