import FoundationEssentials
import HoldfastScenario

/// What the coordinator tells a worker: do this step, or look at something.
struct WorkerRequest: Codable {
  /// What is wanted.
  enum Task: Codable {
    /// The step of that number, of the worker's own actor.
    case step(Int)
    /// A digest of every page of a region, nil where nothing is mapped.
    case digests(region: String, offset: UInt64, pages: Int)
    /// The head of dump_page for every page of a region: counts that no file shows.
    case counts(region: String, offset: UInt64, pages: Int)
  }

  var task: Task
  /// The regions that the task names, as this worker's process sees them, or where they belong to others.
  var regions: [String: PlacedRegion]
}

/// A region of a scenario, in a process.
struct PlacedRegion: Codable {
  /// The actor whose process it belongs to.
  var process: String
  /// That process.
  var id: Int32
  /// Where it begins there.
  var address: UInt64
  var pages: Int
  var kind: RegionKind
  /// The descriptor behind it, in the process that mapped it first, as a path that others can open.
  var object: String?

  var end: UInt64 { address + UInt64(pages) << 12 }
}

/// What came of a task.
struct WorkerReply: Codable {
  /// Of a step.
  var result = StepResult()
  /// What the step changed for those that come after it.
  var changes = StepChanges()
  var digests: [UInt64?]?
  var counts: [PageCounts?]?

  /// What dump_page tells of a page's folio.
  struct PageCounts: Codable, Equatable {
    var references: Int
    var mappings: Int
    var pins: Int
  }
}

/// What a step changed that the coordinator keeps for all.
struct StepChanges: Codable {
  /// Regions that the step made or moved, by name.
  var mapped: [String: PlacedRegion] = [:]
  /// A region that is gone.
  var unmapped: String?
  /// The frames that pins or references got, by page; nil where they cannot be told.
  var frames: [UInt64?]?
  /// The name under which it holds them.
  var hold: String?
  /// The name under which nothing is held any more.
  var released: String?
  /// The process that a fork made.
  var child: Int32?
}

extension Decodable {
  /// The message in a line that a `MessageChannel` gave.
  init(line: [UInt8]) throws {
    self = try JSONDecoder().decode(Self.self, from: Data(line))
  }
}
