import ArgumentParser
import HoldfastReport
import HoldfastScenario

/// Lists scenarios.
struct ScenariosCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scenarios", abstract: "List the scenarios of a folder, with those that cannot be read.")

  @Argument(help: "Where to look for *.yaml, at any depth.")
  var dir = ScenarioFiles.folder

  @Flag(help: "Print the list as JSON.")
  var json = false

  func run() throws {
    let listings = try ScenarioFiles.list(below: dir).map { path in
      do throws(ScenarioError) {
        return ScenarioListing(try Scenario.load(path: path))
      } catch {
        return ScenarioListing(file: path, error: error)
      }
    }
    try Console.write(
      json ? try JSONText.render(listings) : ListText.render(listings, palette: Console.palette))
    let broken = listings.count { $0.error != nil }
    guard broken == 0 else {
      throw Failure.badInput("\(broken) of \(listings.count) scenarios cannot be read")
    }
  }
}
