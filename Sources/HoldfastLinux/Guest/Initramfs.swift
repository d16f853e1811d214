/// The guest's first file system: a program of this host as init, with the libraries that it is linked with.
///
/// Libraries are in /lib, whatever their path is here, and the guest's init has LD_LIBRARY_PATH=/lib. The
/// program that loads them is where the executable expects it.
public struct Initramfs: Sendable {
  /// A file to put into it.
  public struct Extra: Sendable {
    /// Where it is on this host.
    public var source: String
    /// Where it shall be in the guest, an absolute path.
    public var path: String

    /// A file; its libraries are added too.
    public init(source: String, path: String) {
      self.source = source
      self.path = path
    }
  }

  /// Folder of all libraries.
  static let libraries = "/lib"

  /// The archive.
  public let bytes: [UInt8]

  /// Reads the executable, which becomes /init, the extra files and the libraries of all of them.
  public init(executable: String = "/proc/self/exe", extras: [Extra] = []) throws(GuestError) {
    var archive = Archive()
    var taken: Set<String> = []
    // The kernel opens it as init's standard input and output.
    archive.add(device: "/dev/console", major: 5, minor: 1)
    archive.add(folder: "/tmp")
    archive.add(folder: "/root")
    for file in [Extra(source: executable, path: "/init")] + extras {
      let loadable = LoadableFile(try HostFile.open(file.source).bytes())
      archive.add(file: file.path, loadable.bytes)
      guard let interpreter = loadable.interpreter else { continue }
      if taken.insert(interpreter).inserted {
        archive.add(file: interpreter, LoadableFile(try HostFile.open(interpreter).bytes()).bytes)
      }
      for (name, path) in try Self.libraries(of: file.source, interpreter: interpreter)
      where taken.insert(name).inserted {
        let bytes = LoadableFile(try HostFile.open(path).bytes()).bytes
        archive.add(file: "\(Self.libraries)/\(name)", bytes)
      }
    }
    bytes = archive.finished()
  }

  /// The names and paths of the libraries that the loader would load, as `ldd` prints them.
  static func libraries(
    of executable: String, interpreter: String
  ) throws(GuestError) -> [(name: String, path: String)] {
    // The loader opens the executable itself; for the loader, /proc/self/exe would be the loader.
    let path = executable == "/proc/self/exe" ? try HostProgram.ownPath() : executable
    let (ending, text) = try HostProgram.output(of: interpreter, ["--list", path])
    guard ending == .status(0) else { throw .host("\(interpreter) cannot list the libraries of \(path)") }
    var libraries: [(name: String, path: String)] = []
    for line in text.split(separator: "\n") {
      // "name => path (address)", or "path (address)" of the loader, or "name (address)" of the kernel's own.
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      guard let arrow = words.firstIndex(of: "=>"), arrow > 0, words.count > arrow + 1 else { continue }
      guard words[arrow + 1].hasPrefix("/") else {
        throw .host("\(path) needs a library that is not here: \(words[0])")
      }
      libraries.append((String(words[0]), String(words[arrow + 1])))
    }
    return libraries
  }
}
