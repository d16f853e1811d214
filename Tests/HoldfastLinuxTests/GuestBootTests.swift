import Foundation
import HoldfastScenario
import Testing

@testable import HoldfastLinux

/// What a guest needs, where it has been built.
private enum Built {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  static let kernel = try? GuestKernel.locate(
    cache: ProcessInfo.processInfo.environment["HOLDFAST_CACHE"] ?? "\(root)/.cache/guest",
    fragment: "\(root)/\(GuestKernel.fragmentPath)")

  /// The command, which lies next to the test bundle.
  static let command: String? = ([try? HostProgram.ownPath()] + CommandLine.arguments)
    .compactMap { $0 }.map { URL(filePath: $0).deletingLastPathComponent().appending(path: "holdfast").path }
    .first { FileManager.default.isExecutableFile(atPath: $0) }

  static let isThere =
    kernel != nil && command != nil && HostProgram.find("qemu-system-x86_64") != nil
}

@Suite(.enabled(if: Built.isThere, "no guest kernel here: holdfast guest build"), .serialized)
struct GuestBootTests {
  @Test("a guest boots, answers, takes a DIMM and gives it back, and says why a scenario cannot run")
  func boot() throws {
    let kernel = try #require(Built.kernel)
    let initramfs = try Initramfs(executable: try #require(Built.command))
    let scenario = try Scenario(
      yaml: """
        scenario: nodes
        summary: a machine with a bit of everything
        machine:
          nodes: [{memory: 512MiB, cpus: 1}, {memory: 512MiB, cpus: 1}]
          movable: 256MiB
          cma: [{name: camera, size: 22MiB}]
        actors: [{name: one, steps: [{map: {region: ram, size: 1MiB}, label: done}]}]
        expect: [{step: done, equals: ok}]
        """, file: "nodes.yaml")
    var guest = try Guest(GuestMachine(scenario), kernel: kernel, initramfs: initramfs)
    #expect(guest.ready.kernel == kernel.release)
    #expect(guest.ready.config == (try kernel.configurationHash()))

    let backend: [String: JSONValue] = [
      "qom-type": .string("memory-backend-ram"), "id": .string("more"), "size": .integer(128 << 20),
    ]
    let dimm: [String: JSONValue] = [
      "driver": .string("pc-dimm"), "id": .string("added"), "memdev": .string("more"),
    ]
    let nothing = MonitorReply.result(.object([:]))
    var replies = [try guest.ask(MonitorRequest("object-add", backend))]
    replies.append(try guest.ask(MonitorRequest("device_add", dimm)))
    let with = try guest.ask(MonitorRequest("query-memory-devices"))
    replies.append(try guest.ask(MonitorRequest("device_del", ["id": .string("added")])))
    let without = try guest.ask(MonitorRequest("query-memory-devices"))
    #expect(replies == [nothing, nothing, nothing])
    #expect(dimms(with) == ["added", "dimm0", "dimm1"] && dimms(without) == ["dimm0", "dimm1"])
    guard case .error(let text) = try guest.ask(MonitorRequest("device_del", ["id": .string("added")]))
    else {
      Issue.record("a device that is not there was removed")
      return
    }
    #expect(text.contains("added"))

    do throws(GuestRunError) {
      _ = try guest.run(RunRequest(file: "broken.yaml", text: "scenario: [\n"))
      Issue.record("a broken scenario ran")
    } catch {
      #expect(error.description.contains("broken.yaml:"))
    }
    guest.halt()
  }

  private func dimms(_ reply: MonitorReply) -> [String] {
    guard case .result(.array(let devices)) = reply else { return [] }
    return devices.compactMap { $0["data"]?["id"]?.text }.sorted()
  }

  @Test("a guest whose init ends, or that is too slow, is an error with the console's end")
  func lost() throws {
    let kernel = try #require(Built.kernel)
    let machine = GuestMachine(memory: 128 << 20, cpus: 1)
    func failure(_ executable: String, _ seconds: Int) throws -> GuestError? {
      let initramfs = try Initramfs(executable: executable)
      do throws(GuestError) {
        let guest = try Guest(machine, kernel: kernel, initramfs: initramfs, bootWithin: seconds)
        guest.halt()
        return nil
      } catch { return error }
    }
    guard case .ended(_, let console)? = try failure("/bin/false", 60) else {
      Issue.record("the guest did not end")
      return
    }
    #expect(console.contains("Attempted to kill init"), "\(console)")
    guard case .deadline(_, 1, _)? = try failure(try #require(Built.command), 1) else {
      Issue.record("the guest was not ended by its deadline")
      return
    }
  }
}
