import ArgumentParser
import HoldfastReport
import HoldfastScenario

/// Lists the policies.
struct PoliciesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policies", abstract: "List the policies: each kernel's or patch series' pinning rules.")

  @Flag(help: "Print the list as JSON.")
  var json = false

  func run() throws {
    let all = PolicyDescription.all
    try Console.write(json ? try JSONText.render(all) : ListText.render(all, palette: Console.palette))
  }
}
