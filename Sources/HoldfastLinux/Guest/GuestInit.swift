import CLinux
import Glibc
import HoldfastScenario
import SystemPackage

/// The guest's first process: mounts file systems, starts the agent and reaps orphans.
public enum GuestInit {
  /// In the environment of a guest's init, with the hash of the kernel's configuration.
  static let marker = "HOLDFAST_GUEST"
  /// In its environment if it is to give a prompt.
  static let shellMarker = "HOLDFAST_SHELL"

  /// Whether this process is a guest's init; the first process of a container is not.
  public static var isNeeded: Bool {
    getpid() == 1 && getenv(marker) != nil
  }

  private static let fileSystems: [(type: String, target: String, options: String?)] = [
    ("proc", "/proc", nil), ("sysfs", "/sys", nil), ("devtmpfs", "/dev", nil),
    ("devpts", "/dev/pts", nil), ("tmpfs", "/dev/shm", nil), ("tmpfs", "/tmp", nil),
    ("debugfs", "/sys/kernel/debug", nil), ("tracefs", "/sys/kernel/tracing", nil),
    ("hugetlbfs", "/dev/hugepages", nil), ("cgroup2", "/sys/fs/cgroup", nil),
  ]

  /// Is init; never returns.
  public static func main() -> Never {
    for system in fileSystems {
      let result = hf_guest_mount(system.type, system.type, system.target, system.options)
      // A file system that this kernel lacks, or that is mounted already, is no error.
      if result < 0, result != -ENODEV, result != -EBUSY {
        say("cannot mount \(system.type) on \(system.target): \(HostFile.describe(-result))")
      }
    }
    let disk = hf_guest_mount("/dev/vda", "ext4", Worker.fileFolder, nil)
    if disk < 0 { say("no file system on the disk: \(HostFile.describe(-disk))") }
    makeMovable()
    let child = Int32(clamping: hf_fork())
    if child == 0 { getenv(shellMarker) == nil ? serve() : shell() }
    if child < 0 { say("cannot fork: \(HostFile.describe(-child))") }
    bury(until: child)
    let result = hf_guest_reset()
    say("cannot reset the machine: \(HostFile.describe(-result))")
    exit(1)
  }

  /// Puts the memory that was hot-plugged at boot online, in ZONE_MOVABLE.
  private static func makeMovable() {
    let folder = "/sys/devices/system/memory"
    for name in (try? HostFiles.names(at: folder)) ?? [] where name.hasPrefix("memory") {
      let path = "\(folder)/\(name)/state"
      guard let state = try? HostFiles.bytes(at: path), state.starts(with: Array("offline".utf8)) else {
        continue
      }
      guard let block = Int(name.dropFirst("memory".count)) else { continue }
      do throws(Errno) {
        try KernelControls.setBlock(block, to: OnlineKind.movable.kernelName)
      } catch {
        say("cannot put \(name) online: \(error)")
      }
    }
  }

  /// Writes a line to the console.
  static func say(_ text: String) {
    _ = HostFile.put(Array("holdfast: \(text)\n".utf8), to: STDERR_FILENO)
  }

  /// Reaps orphans until this child has ended.
  private static func bury(until child: Int32) {
    var status: Int32 = 0
    while child > 0 {
      let ended = waitpid(-1, &status, 0)
      if ended == child {
        let ending = HostProgram.Ending(waited: status)
        if ending != .status(0) { say("the agent ended with \(ending)") }
        return
      }
      if ended < 0, errno != EINTR { return }
    }
  }

  /// Answers the host's requests until it says halt, or has ended.
  private static func serve() -> Never {
    let config = getenv(marker).map { String(cString: $0) } ?? ""
    do throws(GuestError) {
      let service = ScenarioService(channel: LineChannel(owning: try openPort()))
      try service.tell(.ready(GuestReady(kernel: LinuxRunner.kernelRelease, config: config)))
      try service.serve()
      exit(0)
    } catch {
      say("\(error)")
      exit(1)
    }
  }

  /// Finds the port by its name, as udev would, and opens it.
  private static func openPort() throws(GuestError) -> Int32 {
    let folder = "/sys/class/virtio-ports"
    let ports = (try? HostFiles.names(at: folder)) ?? []
    for port in ports {
      guard let bytes = try? HostFiles.bytes(at: "\(folder)/\(port)/name") else { continue }
      guard bytes.split(separator: UInt8(ascii: "\n")).first.map(Array.init) == Array(GuestProtocol.port.utf8)
      else { continue }
      let descriptor = open("/dev/\(port)", O_RDWR | O_CLOEXEC)
      guard descriptor >= 0 else { throw .host("cannot open /dev/\(port): \(HostFile.describe(errno))") }
      return descriptor
    }
    throw .host("there is no virtio port \(GuestProtocol.port) among \(ports)")
  }

  /// Becomes a shell on the console, with every applet of busybox.
  private static func shell() -> Never {
    hf_guest_own_console()
    setenv("PATH", "/bin", 1)
    setenv("PS1", "guest# ", 1)
    setenv("HOME", "/root", 1)
    unsetenv(marker)
    chdir("/root")
    let busybox = GuestShell.busybox
    let script = "\(busybox) --install -s /bin; exec \(busybox) sh"
    let words = [busybox, "sh", "-c", script].map { $0.withCString { strdup($0) } } + [nil]
    execv(busybox, words)
    say("cannot run \(busybox): \(HostFile.describe(errno))")
    exit(1)
  }
}
