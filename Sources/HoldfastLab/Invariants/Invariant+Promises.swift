import Holdfast
import Interleaving

/// What the policy that a machine was asked for promises, whatever safeguards the machine lacks.
extension Invariant {
  static let promises: [Invariant] = [
    Invariant(
      name: "zero-page-is-read", source: "P11", statement: "nobody has the zero page pinned for writing",
      moment: .always
    ) { context in
      var found: [String] = []
      context.machine.ledger.forEachRecord { record, frames in
        if record.flags.contains(.write), frames.contains(context.machine.zeroPageFrame) {
          found.append("\(record.ownerName) may write \(context.machine.zeroPageFrame), the zero page")
        }
      }
      return found
    },
    Invariant(
      name: "pool-migratable", source: "P6",
      statement: "a huge page of the pool that is mapped can be isolated, unless somebody has done so",
      moment: .quiesced
    ) { context in
      context.folios { head, page in
        guard page.isHugetlb, page.entireMapcount.load() > 0, context.isolated[head] == nil else {
          return nil
        }
        return page.isHugetlbMigratable ? nil : "\(head) is mapped, and nobody can isolate it any more"
      }
    },
  ]
}
