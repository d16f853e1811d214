import Foundation

/// The built command, run as a process.
enum Command {
  /// What a process left behind.
  struct Ending {
    var exitCode: Int32
    var output: String
    var errors: String
  }

  struct NotBuilt: Error, CustomStringConvertible {
    var description: String
  }

  /// The root of the package.
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// Next to the test bundle, which is what runs now.
  private static func executable() throws -> URL {
    let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let folder = URL(filePath: bundle).deletingLastPathComponent()
    let candidates =
      [folder.appending(path: "holdfast")]
      + CommandLine.arguments.map {
        URL(filePath: $0).deletingLastPathComponent().appending(path: "holdfast")
      }
    guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) })
    else { throw NotBuilt(description: "no holdfast next to \(bundle)") }
    return found
  }

  /// Runs the command in a folder; its output goes through files, which cannot fill up.
  ///
  /// - Parameters:
  ///   - interruptAfter: seconds after which it is sent what ctrl-C sends.
  ///   - isFull: whether its standard output takes nothing.
  static func run(
    _ arguments: [String], in folder: String, environment: [String: String] = [:],
    interruptAfter: Double? = nil, isFull: Bool = false
  ) throws -> Ending {
    let process = Process()
    process.executableURL = try executable()
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder)
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let paths = ["output", "errors"].map { NSTemporaryDirectory() + "/holdfast-\($0)-\(UUID().uuidString)" }
    defer { for path in paths { try? FileManager.default.removeItem(atPath: path) } }
    for path in paths { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: isFull ? "/dev/full" : paths[0]))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: paths[1]))
    try process.run()
    if let interruptAfter {
      Thread.sleep(forTimeInterval: interruptAfter)
      process.interrupt()
    }
    process.waitUntilExit()
    let texts = try paths.map { try String(contentsOfFile: $0, encoding: .utf8) }
    return Ending(exitCode: process.terminationStatus, output: texts[0], errors: texts[1])
  }
}

/// A folder with scenarios and damaged input, gone when the test is over.
func withFixture<T>(_ body: (String) throws -> T) throws -> T {
  let root = FileManager.default.temporaryDirectory.appending(path: "holdfast-\(UUID().uuidString)")
  defer { try? FileManager.default.removeItem(at: root) }
  for (path, text) in Fixture.files {
    let url = root.appending(path: path)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }
  let saved = root.appending(path: "truncated")
  try FileManager.default.copyItem(at: URL(filePath: "\(Command.root)/Snapshots/qemu-movable"), to: saved)
  let zoneinfo = saved.appending(path: "proc/zoneinfo")
  try Data(contentsOf: zoneinfo).prefix(200).write(to: zoneinfo)
  return try body(root.path)
}
