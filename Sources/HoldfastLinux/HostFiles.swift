import Glibc
import SystemPackage

/// Where the files of a host are: on the running kernel, or in a saved copy with the same relative paths.
public enum HostFiles: Sendable, Hashable {
  /// The kernel that this process runs on.
  case live
  /// A directory that `HostSnapshot.save(from:to:)` has written.
  case directory(String)

  /// The path under which the file with the given relative path is opened.
  public func path(of relative: String) -> String {
    switch self {
    case .live: "/\(relative)"
    case .directory(let root): root.hasSuffix("/") ? "\(root)\(relative)" : "\(root)/\(relative)"
    }
  }

  /// The whole text of a file.
  ///
  /// Bytes that are not UTF-8 become replacement characters, which no parser takes for a number or a name.
  public func text(of relative: String) throws(HostReadError) -> String {
    let path = path(of: relative)
    return String(decoding: try Self.bytes(at: path), as: UTF8.self)
  }

  /// The sorted names in a directory, without `.` and `..`.
  public func names(in relative: String) throws(HostReadError) -> [String] {
    try Self.names(at: path(of: relative))
  }

  /// No file read here comes near this size; it bounds what a wrong path, say a device, can cost.
  static let largestFile = 1 << 28

  static func bytes(at path: String) throws(HostReadError) -> [UInt8] {
    let expected = "a readable file"
    do throws(Errno) {
      // Without .nonBlocking, opening a FIFO in place of the file would block without end.
      let file = try Self.open(path)
      defer { try? file.close() }
      // Files of /proc report a size of 0, so the end is found only by reading.
      var bytes: [UInt8] = []
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        let count = try Self.read(file, into: &chunk)
        if count == 0 { return bytes }
        bytes += chunk[..<count]
        if bytes.count > largestFile { throw .fileTooLarge }
      }
    } catch {
      throw HostReadError(file: path, errno: error, expected: expected)
    }
  }

  static func names(at path: String) throws(HostReadError) -> [String] {
    guard let stream = opendir(path) else {
      throw HostReadError(file: path, errno: Errno(rawValue: errno), expected: "a directory")
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else { break }
      let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
      let name = UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
      names.append(String(cString: name))
    }
    if errno != 0 {
      throw HostReadError(file: path, errno: Errno(rawValue: errno), expected: "a directory")
    }
    return names.filter { $0 != "." && $0 != ".." }.sorted()
  }

  private static func open(_ path: String) throws(Errno) -> FileDescriptor {
    do {
      return try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking])
    } catch {
      throw (error as? Errno) ?? .ioError
    }
  }

  private static func read(_ file: FileDescriptor, into chunk: inout [UInt8]) throws(Errno) -> Int {
    do {
      return try chunk.withUnsafeMutableBytes { try file.read(into: $0) }
    } catch {
      throw (error as? Errno) ?? .ioError
    }
  }
}
