/// The arguments for QEMU that do not come from the machine.
struct GuestBoot: Sendable {
  /// Paths by which QEMU opens files among its descriptors.
  var kernel: String
  var initramfs: String
  var disk: String
  var swap: String
  /// QEMU's syntax for the console: `file,path=...` or `stdio,...`.
  var console: String
  /// Descriptors of sockets; nil for a guest with a shell.
  var agent: Int32?
  var monitor: Int32?
  /// Init's environment.
  var environment: [String]
}

extension GuestMachine {
  /// The kernel's parameters that describe this machine.
  var kernelParameters: [String] {
    guard let contiguousArea else { return [] }
    return ["cma=\(contiguousArea.size >> 10)K" + (contiguousArea.below4GiB ? "@0-4G" : "")]
  }

  /// QEMU's arguments for processors and memory.
  var machineArguments: [String] {
    let hotplug = UInt64(movableBlocks) * Self.blockBytes + Self.hotplugBytes
    let slots = movableBlocks + Self.hotplugSlots
    // The kernel warns about a socket with CPUs on several nodes.
    let topology = nodes.count > 1 ? ",sockets=\(cpus),cores=1,threads=1" : ""
    var words = [
      "-machine", "q35,kernel-irqchip=split,max-ram-below-4g=\(Self.lowBytes)",
      "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "\(cpus)\(topology)",
      "-m", "\(bootMemory >> 20)M,slots=\(slots),maxmem=\((bootMemory + hotplug) >> 20)M",
    ]
    if nodes.count > 1 { words += nodeArguments }
    var dimm = 0
    for (index, node) in nodes.enumerated() {
      for _ in 0..<node.movableBlocks {
        words += ["-object", "memory-backend-ram,id=movable\(dimm),size=\(Self.blockBytes >> 20)M"]
        words += ["-device", "pc-dimm,id=dimm\(dimm),memdev=movable\(dimm),node=\(index)"]
        dimm += 1
      }
    }
    return words
  }

  private var nodeArguments: [String] {
    var words: [String] = []
    var cpu = 0
    for (index, node) in nodes.enumerated() {
      words += ["-object", "memory-backend-ram,id=node\(index),size=\(node.memory >> 20)M"]
      var line = "node,nodeid=\(index),memdev=node\(index)"
      if node.cpus > 0 { line += ",cpus=\(cpu)-\(cpu + node.cpus - 1)" }
      words += ["-numa", line]
      cpu += node.cpus
    }
    return words
  }

  /// All arguments.
  func arguments(_ boot: GuestBoot) -> [String] {
    var words = machineArguments
    words += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    words += ["-device", "intel-iommu,intremap=on"]
    // A device belongs to one process as long as that has memory mapped for it, so there are several.
    for _ in 0..<Self.vfioDevices { words += ["-device", "edu"] }
    words += ["-chardev", "\(boot.console),id=console", "-serial", "chardev:console"]
    words += ["-drive", "file=\(boot.disk),if=none,id=disk,format=raw,cache=unsafe,file.locking=off"]
    words += ["-device", "virtio-blk-pci,drive=disk"]
    words += ["-drive", "file=\(boot.swap),if=none,id=swap,format=raw,cache=unsafe,file.locking=off"]
    words += ["-device", "virtio-blk-pci,drive=swap"]
    if let agent = boot.agent {
      words += ["-chardev", "socket,id=agent,fd=\(agent)", "-device", "virtio-serial-pci"]
      words += ["-device", "virtserialport,chardev=agent,name=\(GuestProtocol.port)"]
    }
    if let monitor = boot.monitor {
      words += ["-chardev", "socket,id=monitor,fd=\(monitor)", "-mon", "chardev=monitor,mode=control"]
    }
    words += ["-kernel", boot.kernel, "-initrd", boot.initramfs]
    // Warnings go to the console, because a report of a lost guest shows its end; other lines cost boot time.
    let fixed = [
      "console=ttyS0", "loglevel=5", "panic=-1", "nokaslr", "mitigations=off", "random.trust_cpu=on",
      "tsc=reliable", "no_timer_check", "intel_iommu=on",
    ]
    words += ["-append", (fixed + kernelParameters + boot.environment).joined(separator: " ")]
    return words
  }
}
