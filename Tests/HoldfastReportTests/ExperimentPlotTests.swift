import Foundation
import FoundationXML
import HoldfastReport
import HoldfastScenario
import Testing

@Suite("Plots of experiments")
struct ExperimentPlotTests {
  private final class Counter: NSObject, XMLParserDelegate {
    var elements: [String: Int] = [:]
    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String]
    ) {
      elements[name, default: 0] += 1
    }
  }

  @Test("a plot is well-formed, with a mark for each point that has a value and each series")
  func plot() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    var experiment = try Experiment.load(path: root.appending(path: "Experiments/nomovable.yaml").path)
    experiment.name = "a<b&c"
    let panels = experiment.measures.map { measure in
      ExperimentReport.Panel(
        measure,
        lines: experiment.series.enumerated().map { number, series in
          ExperimentReport.Line(
            series: series.name,
            samples: experiment.axis.points.enumerated().map { place, point in
              ExperimentReport.Sample(point, place == number ? [nil] : [1, 0, 1], isShare: measure.isShare)
            })
        })
    }
    let report = ExperimentReport(experiment, runs: 3, randomSeed: 1, panels: panels)
    let counter = Counter()
    let parser = XMLParser(data: Data(ExperimentPlot.svg(report).utf8))
    parser.delegate = counter
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
    let (measures, series, points) = (3, 2, 6)
    #expect(counter.elements["circle"] == measures * series * (points - 1) + measures * series)
    let text = ExperimentText.render(report, palette: Palette(colored: false))
    #expect(text.contains("66.7 %"))
  }
}
