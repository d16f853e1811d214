import Holdfast
import Interleaving

/// What the machine's policy promises, also if the machine lacks safeguards.
extension Invariant {
  static let promises: [Invariant] = [
    Invariant(
      name: "zero-page-is-read", source: "P11", statement: "the zero page is not pinned for writing",
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
      statement: "a huge page of the pool that is mapped can be isolated, unless it is isolated already",
      moment: .quiesced
    ) { context in
      context.folios { head, page in
        guard page.isHugetlb, page.entireMapcount.load() > 0, context.isolated[head] == nil else {
          return nil
        }
        return page.isHugetlbMigratable ? nil : "\(head) is mapped, and can no longer be isolated"
      }
    },
  ]
}
