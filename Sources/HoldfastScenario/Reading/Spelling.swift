/// Guesses which word was meant.
public enum Spelling {
  /// The allowed word at the smallest distance, if that is small beside its length.
  public static func nearest(to word: String, among allowed: [String]) -> String? {
    let lowered = word.lowercased()
    let distances = allowed.map { (word: $0, distance: distance(lowered, $0.lowercased())) }
    let ranked = distances.min { $0.distance < $1.distance }
    guard let best = ranked, best.distance <= max(1, best.word.count / 3) else { return nil }
    return best.word
  }

  /// How many insertions, deletions, replacements or swaps of neighbours turn one into the other.
  private static func distance(_ left: String, _ right: String) -> Int {
    let left = Array(left)
    let right = Array(right)
    var rows = [Array(0...right.count)]
    for (i, a) in left.enumerated() {
      var row = [i + 1]
      for (j, b) in right.enumerated() {
        var best = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a == b ? 0 : 1))
        if i > 0, j > 0, a == right[j - 1], left[i - 1] == b { best = min(best, rows[i - 1][j - 1] + 1) }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[left.count][right.count]
  }
}
