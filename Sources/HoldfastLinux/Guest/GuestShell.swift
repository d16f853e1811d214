import Glibc

/// A guest whose console is our terminal.
public enum GuestShell {
  /// The path of busybox in the guest.
  static let busybox = "/bin/busybox"

  /// Boots a guest with a prompt, waits until Ctrl-A X ends it, and returns QEMU's exit status.
  public static func run(
    _ machine: GuestMachine, kernel: GuestKernel, extras: [Initramfs.Extra] = []
  ) throws(GuestError) -> Int32 {
    let path = try Guest.qemuPath()
    guard let shell = HostProgram.find("busybox") else {
      throw .missing("busybox is not installed", command: GuestKernel.setupCommand)
    }
    let initramfs = try Initramfs(extras: extras + [Initramfs.Extra(source: shell, path: busybox)])
    let image = try HostFile.open(kernel.image)
    let archive = try HostFile.memory("initramfs")
    try archive.append(initramfs.bytes)
    let disk = try Guest.formattedDisk()
    let swap = try HostFile.temporary(bytes: GuestMachine.diskBytes)
    let boot = GuestBoot(
      kernel: "/proc/self/fd/3", initramfs: "/proc/self/fd/4", disk: "/proc/self/fd/5",
      swap: "/proc/self/fd/6",
      console: "stdio,mux=on,signal=off", agent: nil, monitor: nil,
      environment: Guest.environment(try kernel.configurationHash()) + ["\(GuestInit.shellMarker)=1"])
    let arguments = machine.arguments(boot) + ["-mon", "chardev=console,mode=readline"]
    var qemu = try HostProgram(
      path, arguments,
      descriptors: [
        STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, image.descriptor, archive.descriptor, disk.descriptor,
        swap.descriptor,
      ])
    switch qemu.wait() {
    case .status(let status): return status
    case .signal(let signal): throw .ended("QEMU ended with signal \(signal)", console: "")
    }
  }
}
