import ArgumentParser
import HoldfastLab
import HoldfastReport
import HoldfastScenario

/// Lists the invariants.
struct InvariantsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "invariants", abstract: "List what is checked of a machine: each rule, and when it holds.")

  @Flag(help: "Print the list as JSON.")
  var json = false

  func run() throws {
    let atRest = Invariant.all.map {
      InvariantListing(
        name: $0.name, source: $0.source, moment: $0.moment.rawValue, checked: "at rest",
        statement: $0.statement)
    }
    let listings =
      atRest
      + StepInvariant.all.map {
        InvariantListing(
          name: $0.name, source: $0.source, moment: $0.moment, checked: "each step", statement: $0.statement)
      }
    try Console.write(
      json ? try JSONText.render(listings) : ListText.render(listings, palette: Console.palette))
  }
}
