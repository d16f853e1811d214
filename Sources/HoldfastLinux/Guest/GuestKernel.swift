import Glibc
import HoldfastScenario

/// The guest's kernel, built once and kept in a cache folder.
public struct GuestKernel: Sendable, Equatable {
  /// `holdfast guest build`, which puts a kernel into the cache.
  public static let buildCommand = "holdfast guest build"
  /// Installs QEMU and the tools that build the kernel.
  public static let setupCommand = "Guest/setup"
  /// The options that the kernel must have.
  public static let fragmentPath = "Guest/kernel.config"
  /// The script that builds it.
  static let scriptPath = "Guest/build-kernel"
  /// Debian's package with the source.
  static let sourcePackage = "linux-source-6.1"

  /// The folder with `bzImage`, `config` and `version`.
  public let folder: String
  /// The kernel's release, `6.1.192`.
  public let release: String

  /// The image that QEMU loads.
  public var image: String { "\(folder)/bzImage" }

  /// The folder of built kernels: `HOLDFAST_CACHE`, or a folder in the root of the package.
  ///
  /// Without `HOLDFAST_CACHE` the root of the package must be the current folder.
  public static var cacheFolder: String {
    getenv("HOLDFAST_CACHE").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } ?? ".cache/guest"
  }

  /// The cached kernel of the fragment; the newest one if it was built from several sources.
  public static func locate() throws(GuestError) -> GuestKernel {
    try locate(cache: cacheFolder, fragment: fragmentPath)
  }

  static func locate(cache: String, fragment: String) throws(GuestError) -> GuestKernel {
    let key = try key(ofFragment: fragment)
    let all = (try? HostFiles.names(at: cache)) ?? []
    let candidates = all.filter { $0.hasSuffix("-\(key)") }.map { GuestKernel(named: $0, in: cache) }
      .filter { access($0.image, R_OK) == 0 }
    guard let newest = candidates.max(by: { order($0.release) < order($1.release) }) else {
      let what = "there is no guest kernel of \(fragment) in \(cache)"
      throw .missing(what, command: buildCommand)
    }
    return newest
  }

  /// SHA-256 of the configuration that the kernel was built with.
  public func configurationHash() throws(GuestError) -> String {
    SHA256.hexadecimal(of: String(decoding: try HostFile.open("\(folder)/config").bytes(), as: UTF8.self))
  }

  /// Builds the kernel unless it is built already; `progress` gets what is done.
  ///
  /// With a folder for the source, the kernel's source stays there, built, and the kernel is built again.
  public static func build(
    keepingSourceIn source: String? = nil, progress: (String) -> Void
  ) throws(GuestError) -> GuestKernel {
    let key = try key(ofFragment: fragmentPath)
    guard let release = try sourceRelease(), access("/usr/src/\(sourcePackage).tar.xz", R_OK) == 0 else {
      // Without a source, a kernel that was built before is used.
      if let present = try? locate() { return present }
      throw .missing("the package \(sourcePackage) is not installed", command: setupCommand)
    }
    let kernel = GuestKernel(named: "\(release)-\(key)", in: cacheFolder)
    let isThere = access(kernel.image, R_OK) == 0
    if isThere, source == nil { return kernel }
    guard let make = HostProgram.find("make"), HostProgram.find("gcc") != nil else {
      throw .missing("make or gcc is not installed", command: setupCommand)
    }
    progress("building Linux \(release) with \(make); this takes some minutes")
    let output = isThere ? "\(kernel.folder).again.\(getpid())" : kernel.folder
    var arguments = ["/usr/src/\(sourcePackage).tar.xz", fragmentPath, output]
    if let source { arguments = ["--keep-source", source] + arguments }
    // Its progress is no result, so both of its streams go to standard error.
    var script = try HostProgram(
      scriptPath, arguments, descriptors: [nil, STDERR_FILENO, STDERR_FILENO])
    // Ctrl-C is for the script, which cleans up and ends.
    let previous = signal(SIGINT, SIG_IGN)
    let ending = script.wait()
    _ = signal(SIGINT, previous)
    guard ending == .status(0) else { throw .host("\(scriptPath) ended with \(ending)") }
    if isThere {
      for name in ["bzImage", "config", "version"] { unlink("\(output)/\(name)") }
      rmdir(output)
    }
    return kernel
  }

  private init(named name: String, in cache: String) {
    folder = "\(cache)/\(name)"
    release = name.split(separator: "-").first.map(String.init) ?? name
  }

  /// The upstream version of the installed source, `6.1.192`; nil if there is none.
  private static func sourceRelease() throws(GuestError) -> String? {
    guard let query = HostProgram.find("dpkg-query") else { return nil }
    let (ending, text) = try HostProgram.output(of: query, ["-W", "-f", "${Version}", sourcePackage])
    guard ending == .status(0), let release = text.split(separator: "-").first else { return nil }
    return String(release)
  }

  /// The hash of the fragment's text that the names of folders have.
  private static func key(ofFragment path: String) throws(GuestError) -> String {
    guard access(path, R_OK) == 0 else {
      throw .host("cannot read \(path): run this in the root of the package")
    }
    let text = String(decoding: try HostFile.open(path).bytes(), as: UTF8.self)
    return String(SHA256.hexadecimal(of: text).prefix(12))
  }

  /// A number that orders releases of three parts.
  private static func order(_ release: String) -> Int {
    release.split(separator: ".").prefix(3).reduce(0) { $0 * 10000 + (Int($1) ?? 0) }
  }
}
