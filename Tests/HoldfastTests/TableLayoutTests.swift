import Interleaving
import Testing

@testable import Holdfast

/// The declarations of the rows of all tables, which are those that a machine has.
@Suite struct TableLayoutTests {
  private static var machines: [MachineConfiguration] {
    var large = MachineConfiguration(frames: 1 << 20, processors: 3)
    large.nodes.append(NodeConfiguration(memory: [FrameRange(start: FrameNumber(1 << 20), count: 1 << 18)]))
    large.cmaAreas = [CMAConfiguration(name: "camera", frames: 1 << 10)]
    return [.small(), .small(frames: 128, movable: 32), large]
  }

  @Test("the fields of every row lie one behind the other, named, aligned and within it")
  func rows() throws {
    for configuration in Self.machines {
      let layout = try Machine(configuration).layout
      #expect(layout.flaws == [])
      #expect(layout.tables.count == 30)
    }
  }

  @Test("tables lie one behind the other, aligned to their rows")
  func tables() throws {
    for configuration in Self.machines {
      let layout = try Machine(configuration).layout
      var end = 0
      for table in layout.tables {
        #expect(table.bytes.lowerBound >= end, "\(table.layout)")
        let align = table.layout.fields.map(\.alignment).max() ?? 1
        #expect(table.bytes.lowerBound % align == 0, "\(table.layout)")
        end = table.bytes.upperBound
      }
      #expect(layout.size >= end)
      // What `AllocationRoute` keeps in the low bits.
      #expect(layout.zones.stride % 128 == 0 && PerCPUListsRow.stride % 256 == 0)
    }
  }

  @Test("every row that comes and goes begins with the word that says whether it is in use")
  func pooledRows() {
    let pooled: [any RowLayout.Type] = [
      ProcessRow.self, AddressSpaceRow.self, VirtualMemoryAreaRow.self, AnonGroupRow.self,
      BackingObjectRow.self,
      TableMetaRow.self, ContainerRow.self, DomainRow.self, DeviceGroupRow.self, MappingRow.self,
      SharedMemoryRow.self, MirrorRow.self, MirroredPageRow.self,
      PinRecordRow.self,
    ]
    #expect(pooled.count == TablePool.allCases.count)
    for layout in pooled {
      #expect(layout.word(at: 3)?.offset == 0 && layout.word(at: 4)?.offset == 4, "\(layout)")
    }
  }

  @Test("each word of the state has one name of its own, and bytes of no field have none that looks like one")
  func names() throws {
    let machine = try Machine(.small())
    var names: [String: Int] = [:]
    for offset in stride(from: 0, to: machine.layout.size, by: 4) {
      guard let place = machine.observation.statePlace(offset), let type = place.type else { continue }
      #expect(type is any ShownValue.Type, "\(place.name)")
      #expect(
        names.updateValue(place.offset, forKey: place.name) ?? place.offset == place.offset, "\(place.name)")
    }
    let zone = ZoneID(node: 0, kind: .normal)
    func name(_ offset: Int) -> String {
      machine.observation.stateName(at: UInt(bitPattern: machine.arena + offset))
    }
    #expect(name(machine.layout.global.start + GlobalRow.ledgerLock.offset) == "ledger lock")
    #expect(name(machine.layout.frames.offset(33) + PageRow.refcount.offset) == "refcount of pfn:0x21")
    #expect(
      name(machine.layout.zones.offset(zone.rawValue) + ZoneRow.lock.offset) == "lock of Node 0, zone Normal")
    let list = machine.buddy.zone(zone).freeList(order: 3, .movable)
    #expect(
      machine.observation.stateName(at: UInt(bitPattern: list.row.raw))
        == "first frame of list Movable of order 3 of Node 0, zone Normal")
    let failures = machine.global.failures(.isolation)
    failures.store(7)
    let word =
      UInt(bitPattern: machine.arena + machine.layout.global.start)
      + UInt(GlobalRow.failures.offset(FailurePoint.isolation.number))
    #expect(machine.observation.stateName(at: word) == "failures asked for of point isolation")
    #expect(
      machine.observation.stateChange(
        at: word, since: [UInt8](repeating: 0, count: machine.stateSize), isWrite: true)
        == "0 -> 7")
    #expect(name(machine.layout.tablePages.offset(2) + 8) == "entry 1 of table page 2")
    #expect(name(machine.layout.size) == "")
  }
}
