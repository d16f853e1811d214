import Foundation
import HoldfastScenario
import Testing

@testable import HoldfastLinux

/// A scenario's machine, and the PC that stands for it or the word in which none can.
struct PlannedMachine: Sendable {
  var machine: String
  var step = "map: {region: ram, size: 1MiB}"
  var words: [String] = []
  var absent: [String] = []
  var refusal: String?
}

@Suite struct GuestTests {
  static let machines: [PlannedMachine] = [
    PlannedMachine(
      machine: "memory: 512MiB",
      words: ["-smp 2", "-m 1536M,slots=32,maxmem=5632M", "max-ram-below-4g=1073741824"],
      absent: ["pc-dimm", "-numa", "cma="]),
    PlannedMachine(
      machine: "memory: 512MiB, movable: 256MiB, cpus: 3",
      words: [
        "-smp 3", "-m 1280M,slots=34", "id=movable1,size=128M", "pc-dimm,id=dimm1,memdev=movable1,node=0",
      ],
      absent: ["dimm2"]),
    PlannedMachine(
      machine: "memory: 1GiB, movable: 25%", words: ["-m 1792M", "id=dimm1,"], absent: ["id=dimm2,"]),
    PlannedMachine(
      machine: "memory: 1GiB, kernelcore: 768MiB", words: ["-m 1792M", "id=dimm1,"], absent: ["id=dimm2,"]),
    PlannedMachine(
      machine: "nodes: [{memory: 512MiB, cpus: 1}, {memory: 512MiB, cpus: 1}], movable: 256MiB",
      words: [
        "-smp 2,sockets=2,cores=1,threads=1", "id=node0,size=1408M", "id=node1,size=640M",
        "node,nodeid=1,memdev=node1,cpus=1-1",
        "id=dimm0,memdev=movable0,node=0", "id=dimm1,memdev=movable1,node=1",
      ]),
    // Nodes with less memory than an even share of the kernel's have no movable memory.
    PlannedMachine(
      machine: "nodes: [{memory: 1GiB, cpus: 2}, {memory: 128MiB, cpus: 0}], movable: 256MiB",
      words: ["id=dimm1,memdev=movable1,node=0", "nodeid=1,memdev=node1 "], absent: ["node=1"]),
    PlannedMachine(
      machine: "memory: 32MiB, block: 32MiB, cma: [{name: camera, size: 22MiB}]",
      words: ["cma=22528K ", "-m 1152M"]),
    PlannedMachine(
      machine: "memory: 512MiB, cma: [{name: camera, size: 22MiB, zone: dma32}]", words: ["cma=22528K@0-4G"]),
    PlannedMachine(
      machine: "memory: 64 frames, page-tables: 2, block: 16 frames", refusal: "2 index bits per level"),
    PlannedMachine(
      machine: "memory: 512MiB, block: 32MiB", step: "offline: {zone: movable, blocks: all}",
      refusal: "32 MiB"),
    PlannedMachine(machine: "memory: 512MiB, block: 32MiB, movable: 64MiB", refusal: "32 MiB"),
    PlannedMachine(machine: "memory: 512MiB, movable: 64MiB", refusal: "whole number of memory blocks"),
    PlannedMachine(machine: "memory: 512MiB, pageblock: 4MiB", refusal: "pageblocks are 4 MiB"),
    PlannedMachine(
      machine: "memory: 512MiB, zones: {dma: none, dma32: none}", refusal: "zones end elsewhere"),
    PlannedMachine(machine: "memory: 1TiB", refusal: "16 GiB is the most"),
    PlannedMachine(machine: "memory: 512MiB, cpus: 64", refusal: "16 is the most"),
    PlannedMachine(
      machine: "memory: 512MiB, cma: [{name: a, size: 2MiB}, {name: b, size: 2MiB}]",
      refusal: "cma= makes one area"),
    PlannedMachine(
      machine: "memory: 512MiB, cma: [{name: a, size: 2MiB, zone: movable}]", refusal: "does not put it"),
  ]

  @Test(
    "a scenario's machine is a PC with the same zones and nodes, or refused with the reason",
    arguments: machines)
  func machine(_ planned: PlannedMachine) throws {
    let scenario = try Scenario(
      yaml: """
        scenario: planned
        summary: a machine
        machine: {\(planned.machine)}
        actors:
          - name: one
            steps:
              - \(planned.step)
                label: done
        expect:
          - {step: done, equals: ok}
        """, file: "planned.yaml")
    do throws(GuestRefusal) {
      let machine = try GuestMachine(scenario)
      #expect(planned.refusal == nil, "it was not refused")
      let line = (machine.machineArguments + machine.kernelParameters + ["end"]).joined(separator: " ")
      for word in planned.words { #expect(line.contains(word), "\(line)") }
      for word in planned.absent { #expect(!line.contains(word), "\(line)") }
    } catch {
      let expected = planned.refusal ?? "(no refusal)"
      #expect(error.description.contains(expected) && error.description.hasPrefix("skipped: "), "\(error)")
    }
  }

  @Test("every message comes back as it was sent, one key naming what it is")
  func messages() throws {
    let request = MonitorRequest(
      "device_add", ["id": .string("dimm0"), "node": .integer(1), "hot": .bool(true)])
    for message: GuestMessage in [
      .ready(GuestReady(kernel: "6.1.192", config: "ab")), .monitor(request),
      .failure(GuestFailure("why\nnot")),
    ] {
      let line = try GuestProtocol.line(message)
      #expect(line.split(separator: UInt8(ascii: "\n")).count == 1)
      #expect(try GuestProtocol.message(GuestMessage.self, line.dropLast()) == message)
    }
    for message: HostMessage in [
      .halt, .run(RunRequest(file: "a.yaml", text: "scenario: a\n", policy: .linux61, repeat: 3)),
      .monitor(.result(.object(["a": .array([.null, .number(0.5)])]))), .monitor(.error("no")),
    ] {
      #expect(try GuestProtocol.message(HostMessage.self, GuestProtocol.line(message).dropLast()) == message)
    }
    #expect(String(decoding: try GuestProtocol.line(HostMessage.halt), as: UTF8.self) == "{\"halt\":{}}\n")
    #expect(throws: GuestError.self) {
      try GuestProtocol.message(HostMessage.self, Array("{\"hault\":{}}".utf8))
    }
  }

  @Test("an archive holds folders before what lies in them, and every field where newc has it")
  func archive() throws {
    var archive = Archive()
    archive.add(file: "/lib/deep/x.so", [1, 2, 3, 4, 5])
    archive.add(device: "/dev/console", major: 5, minor: 1)
    archive.add(link: "/lib/y.so", to: "deep/x.so")
    let bytes = archive.finished()
    var found: [String] = []
    var offset = 0
    while offset + 110 <= bytes.count {
      func field(_ index: Int) -> Int {
        let start = offset + 6 + 8 * index
        return Int(String(decoding: bytes[start..<start + 8], as: UTF8.self), radix: 16) ?? -1
      }
      #expect(bytes[offset..<offset + 6].elementsEqual("070701".utf8))
      let (mode, size, nameSize) = (field(1), field(6), field(11))
      let name = String(decoding: bytes[offset + 110..<offset + 110 + nameSize - 1], as: UTF8.self)
      let data = (offset + 110 + nameSize + 3) / 4 * 4
      found.append("\(name) \(String(mode, radix: 8)) \(field(9)):\(field(10)) \(bytes[data..<data + size])")
      offset = (data + size + 3) / 4 * 4
    }
    #expect(offset == bytes.count)
    #expect(
      found == [
        "lib 40755 0:0 []", "lib/deep 40755 0:0 []", "lib/deep/x.so 100755 0:0 [1, 2, 3, 4, 5]",
        "dev 40755 0:0 []", "dev/console 20600 5:1 []",
        "lib/y.so 120777 0:0 \(Array("deep/x.so".utf8))", "TRAILER!!! 0 0:0 []",
      ])
  }

  @Test("what a loader does not look at is left out of an executable, which stays one")
  func loadable() throws {
    let bytes = try HostFile.open("/proc/self/exe").bytes()
    let loadable = LoadableFile(bytes)
    #expect(loadable.interpreter == "/lib64/ld-linux-x86-64.so.2")
    #expect(loadable.bytes.count <= bytes.count)
    #expect(loadable.bytes[60..<64].allSatisfy { $0 == 0 })
    #expect(LoadableFile([1, 2, 3]).bytes == [1, 2, 3])
    // Program headers beyond the end of the file.
    #expect(LoadableFile(Array(bytes[..<64])).bytes.count == 64)
    try withScratchDirectory { folder in
      let copy = "\(folder)/true"
      let short = LoadableFile(try HostFile.open("/bin/true").bytes()).bytes
      try Data(short).write(to: URL(filePath: copy))
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: copy)
      var program = try HostProgram(copy, [], descriptors: [nil, nil, nil])
      let ending = program.wait()
      #expect(ending == .status(0))
    }
  }

  @Test("a missing kernel or fragment is an error that says the one command which helps")
  func missing() throws {
    try withScratchDirectory { folder in
      let fragment = "\(folder)/kernel.config"
      func error() -> String {
        do throws(GuestError) {
          return try GuestKernel.locate(cache: folder, fragment: fragment).folder
        } catch { return error.description }
      }
      #expect(error().contains("kernel.config: run this in the root of the package"))
      try Data("CONFIG_SMP=y\n".utf8).write(to: URL(filePath: fragment))
      #expect(error().hasSuffix("in \(folder); to put it there: holdfast guest build"))
      let key = SHA256.hexadecimal(of: "CONFIG_SMP=y\n").prefix(12)
      for release in ["6.1.99", "6.1.192"] {
        try FileManager.default.createDirectory(
          atPath: "\(folder)/\(release)-\(key)", withIntermediateDirectories: false)
        try Data().write(to: URL(filePath: "\(folder)/\(release)-\(key)/bzImage"))
      }
      #expect(error() == "\(folder)/6.1.192-\(key)", "the newest is taken")
    }
  }

  @Test("a program that cannot be started is an error, and one that hangs ends with its owner")
  func programs() throws {
    #expect(throws: GuestError.self) { _ = try HostProgram.output(of: "/nonexistent", []) }
    let (ending, text) = try HostProgram.output(
      of: "/bin/sh", ["-c", "echo a; ls /proc/self/fd | wc -l; exit 3"])
    // ls has its own descriptor of the folder.
    #expect(ending == .status(3) && text == "a\n4\n")
    var program = try HostProgram("/bin/sleep", ["1000"], descriptors: [nil, nil, nil])
    let early = program.hasEnded(within: 0.01)
    let killed = program.kill()
    #expect(!early && killed == .signal(SIGKILL))
  }
}
