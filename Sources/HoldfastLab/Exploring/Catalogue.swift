import Holdfast
public import HoldfastScenario

/// The catalogue of bugs and disputes around pinned pages: what the explorer finds, and what cannot be explored yet.
public enum Catalogue {
  /// Every row, by number.
  public static let rows: [CatalogueRow] =
    lockless + copyOnWrite + counting + placement + removal + filesAndDevices

  /// The names of all scenarios that show something.
  public static var scenarios: Set<String> { Set(rows.flatMap { $0.entries.map(\.scenario) }) }

  /// The safeguards, each as often as an entry shows it.
  public static var safeguards: [SafeguardListing] {
    rows.flatMap { row in
      row.entries.compactMap { entry in
        guard let safeguard = entry.safeguard else { return nil }
        return SafeguardListing(
          name: safeguard.name, row: row.number, reference: row.reference, properties: row.properties,
          statement: entry.statement, scenario: entry.scenario)
      }
    }
  }
}

/// One row of the catalogue.
public struct CatalogueRow: Sendable {
  /// Its number.
  public let number: Int
  /// What happens, in a few words.
  public let name: String
  /// The properties that it breaks: `P1` and so on.
  let properties: [String]
  /// The CVE, commit or mail.
  let reference: String?
  /// What is explored of it.
  let entries: [CatalogueEntry]
  /// What the engine lacks for the row, or for the rest of it.
  let needs: [CatalogueNeed]

  init(
    _ number: Int, _ name: String, _ properties: String, _ reference: String? = nil,
    needs: [CatalogueNeed] = [], _ entries: CatalogueEntry...
  ) {
    self.number = number
    self.name = name
    self.properties = properties.split(separator: " ").map(String.init)
    self.reference = reference
    self.entries = entries
    self.needs = needs
  }

  /// Whether there is anything to explore.
  public var isExplored: Bool { !entries.isEmpty }

  /// Whether the engine lacks something for it.
  public var isWaiting: Bool { !needs.isEmpty }

  /// The row in the report's list of those that wait; nil if it does not.
  var waiting: CatalogueReport.Waiting? {
    guard !needs.isEmpty else { return nil }
    var issues: [String] = []
    for need in needs where !issues.contains(need.comesWith) { issues.append(need.comesWith) }
    return CatalogueReport.Waiting(
      row: number, name: name, properties: properties, needs: needs.map(\.rawValue),
      comesWith: issues.joined(separator: "; "), isPart: !entries.isEmpty)
  }
}

/// One thing that a scenario shows of a row.
struct CatalogueEntry: Sendable {
  /// The expected result of the explorations.
  let verdict: CatalogueReport.Verdict
  /// The safeguard that is taken out; nil if the finding needs none to be off.
  let safeguard: Safeguard?
  /// Safeguards that are taken out with it, since any one of them prevents it too.
  let others: [Safeguard]
  /// Whether it needs store buffers.
  let storeBuffers: Bool
  /// What the engine does with the safeguard on; empty without one.
  let statement: String
  /// The name of the scenario.
  let scenario: String
  /// The policy under which it is found; nil for the scenario's.
  let policy: PolicyName?
  /// The policy under which it is cleared; nil if nothing clears it.
  let clearPolicy: PolicyName?
  let find: ExploreOptions.Search
  let clear: ExploreOptions.Search

  /// Found without a safeguard, and not with it.
  static func fixed(
    _ safeguard: Safeguard, _ statement: String, in scenario: String, with others: [Safeguard] = [],
    storeBuffers: Bool = false,
    find: ExploreOptions.Search = .bounded(upTo: 2), clear: ExploreOptions.Search = .exhaustive
  ) -> CatalogueEntry {
    CatalogueEntry(
      verdict: .fixed, safeguard: safeguard, others: others, storeBuffers: storeBuffers, statement: statement,
      scenario: scenario,
      policy: nil, clearPolicy: nil, find: find, clear: clear)
  }

  /// Found with all safeguards under one policy, and not under a later one that fixed it, if there is one.
  static func open(
    in scenario: String, under policy: PolicyName = .standard, notUnder clearPolicy: PolicyName? = nil,
    byDesign: Bool = false, find: ExploreOptions.Search = .bounded(upTo: 2),
    clear: ExploreOptions.Search = .exhaustive
  ) -> CatalogueEntry {
    CatalogueEntry(
      verdict: byDesign ? .byDesign : .open, safeguard: nil, others: [], storeBuffers: false, statement: "",
      scenario: scenario,
      policy: policy, clearPolicy: clearPolicy, find: find, clear: clear)
  }
}

/// What rows of the catalogue wait for: what the engine lacks, or an entry for what it has.
enum CatalogueNeed: String, Sendable {
  case collapse = "THP collapse"
  case split = "THP split"
  case files = "files and writeback"
  case reclaim
  case ksm = "KSM"
  case userfaultfd
  case softDirty = "soft-dirty bits"
  case secretMemory = "secret memory"
  case sharedTables = "shared hugetlb page tables"
  case memoryFailure = "memory failure"
  case entry = "a safeguard and a scenario"
  case deviceMemory = "device memory"

  /// The work after which the engine has it.
  var comesWith: String {
    switch self {
    case .collapse, .split, .files, .reclaim, .ksm, .userfaultfd, .softDirty, .secretMemory,
      .sharedTables, .memoryFailure:
      "the rest of the memory manager"
    case .entry, .deviceMemory: "devices"
    }
  }
}
