import ArgumentParser
import HoldfastLabExplored
import HoldfastReport
import HoldfastScenario

/// Lists the safeguards.
struct SafeguardsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "safeguards",
    abstract: "List the fixes that `holdfast explore --without` takes out: what each does, and what shows it."
  )

  @Flag(help: "Print the list as JSON.")
  var json = false

  func run() throws {
    let all = Catalogue.safeguards
    try Console.write(json ? try JSONText.render(all) : ListText.render(all, palette: Console.palette))
  }
}
