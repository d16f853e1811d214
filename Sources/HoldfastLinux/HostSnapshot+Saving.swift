import FoundationEssentials
import Glibc
import SystemPackage

extension HostSnapshot {
  /// Copies the files of a host to a directory, in the layout that `HostFiles.directory` reads.
  ///
  /// The directory must be empty or absent, in which case it is made. The files are read and checked first,
  /// and written as read, with one more, `captured`, that says when, from which kernel, and with which page
  /// size. After an error the directory is as it was before.
  ///
  /// - Returns: What was saved.
  @discardableResult
  public static func save(
    from files: HostFiles, to directory: String
  ) throws(HostReadError) -> HostSnapshot {
    let set = try HostFileSet(reading: files)
    let snapshot = try HostSnapshot(set)
    let isNew = try makeDirectory(directory, mayExist: true)
    let present = try HostFiles.names(at: directory)
    guard present.isEmpty else {
      throw HostReadError(
        file: directory, found: "a directory with \(present.count) entries, such as '\(present[0])'",
        expected: "an empty one, or none", errno: .directoryNotEmpty)
    }
    // Everything is written under another name first. To rename three entries then hardly fails, and
    // `captured` comes last.
    let aside = "\(directory)/.partial-\(getpid())"
    let entries = ["proc", "sys", .captured]
    do throws(HostReadError) {
      try set.write(to: aside, captured: set.texts[.captured] ?? captured(snapshot))
      for entry in entries {
        try call("\(directory)/\(entry)") { rename("\(aside)/\(entry)", "\(directory)/\(entry)") }
      }
      try call(aside) { rmdir(aside) }
    } catch {
      for entry in [aside] + entries.map({ "\(directory)/\($0)" }) {
        try? FileManager.default.removeItem(atPath: entry)
      }
      if isNew { rmdir(directory) }
      throw error
    }
    return snapshot
  }

  private static func captured(_ snapshot: HostSnapshot) -> String {
    """
    The memory layout of a host, as 'holdfast snapshot' saved it; 'holdfast run --machine-from' reads it.
    date: \(Date.now.formatted(.iso8601))
    kernel: \(snapshot.kernelRelease ?? "unknown")
    page size: \(snapshot.pageSize)

    """
  }
}

extension HostFileSet {
  /// Writes everything that was read under a directory that does not exist yet.
  fileprivate func write(to root: String, captured: String) throws(HostReadError) {
    try makeDirectory(root)
    let all = texts.merging([.captured: captured]) { _, new in new }
    for (path, text) in all.sorted(by: { $0.key < $1.key }) {
      try makeParents(of: path, under: root)
      try Self.write(text, to: "\(root)/\(path)")
    }
    for (index, nodes) in nodes.sorted(by: { $0.key < $1.key }) {
      for node in nodes {
        // The kernel's own links, which lead to the block's directory in the copy as well.
        let link = "\(String.node)/node\(node)/memory\(index)"
        try makeParents(of: link, under: root)
        try call("\(root)/\(link)") { symlink("../../memory/memory\(index)", "\(root)/\(link)") }
      }
    }
  }

  private func makeParents(of path: String, under root: String) throws(HostReadError) {
    var made = root
    for part in path.split(separator: "/").dropLast() {
      made += "/\(part)"
      try makeDirectory(made, mayExist: true)
    }
  }

  private static func write(_ text: String, to path: String) throws(HostReadError) {
    do {
      let file = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
        permissions: [.ownerReadWrite, .groupRead, .otherRead])
      _ = try file.closeAfter { try file.writeAll(text.utf8) }
    } catch {
      throw HostReadError(file: path, errno: (error as? Errno) ?? .ioError, expected: "a writable file")
    }
  }
}

/// Makes a directory, and says whether it is new.
@discardableResult
private func makeDirectory(_ path: String, mayExist: Bool = false) throws(HostReadError) -> Bool {
  do throws(HostReadError) {
    try call(path) { mkdir(path, 0o755) }
    return true
  } catch {
    guard mayExist, error.errno == .fileExists else { throw error }
    return false
  }
}

private func call(_ path: String, _ body: () -> Int32) throws(HostReadError) {
  guard body() == 0 else {
    throw HostReadError(file: path, errno: Errno(rawValue: errno), expected: "a writable place")
  }
}
