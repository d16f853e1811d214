public import HoldfastScenario

/// What an experiment showed, as a drawing: a panel for each measure, with the spread of each point.
public enum ExperimentPlot {
  private static let width = 720
  private static let panelHeight = 320
  private static let head = 56
  private static let (left, right, top, bottom) = (72, 200, 40, 56)
  /// Colours that people with any colour vision can tell apart (Okabe and Ito).
  private static let colours = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442",
  ]

  /// The drawing as SVG.
  public static func svg(_ report: ExperimentReport) -> String {
    let height = head + panelHeight * report.panels.count
    var svg = """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
      viewBox="0 0 \(width) \(height)" font-family="sans-serif" font-size="12">
      <rect width="\(width)" height="\(height)" fill="white"/>

      """
    svg += text(16, 24, report.experiment, "font-size=\"16\" font-weight=\"bold\"")
    svg += text(16, 42, "\(report.runs) runs a point, random seed \(report.randomSeed)", "fill=\"#555\"")
    for (place, panel) in report.panels.enumerated() {
      svg += "<g transform=\"translate(0 \(head + place * panelHeight))\">\n"
      svg += draw(panel, report.axis)
      svg += "</g>\n"
    }
    return svg + "</svg>\n"
  }

  private static func draw(_ panel: ExperimentReport.Panel, _ axis: String) -> String {
    let scale = Scale(panel)
    let (x0, x1) = (Double(left), Double(width - right))
    let (y0, y1) = (Double(panelHeight - bottom), Double(top))
    func y(_ value: Double) -> Double { y0 + (y1 - y0) * (value - scale.low) / (scale.high - scale.low) }
    var svg = text(left, top - 16, panel.label, "font-weight=\"bold\"")
    for tick in scale.ticks {
      svg += line(x0, y(tick), x1, y(tick), "stroke=\"#ddd\"")
      svg += text(
        left - 8, Int(y(tick)) + 4,
        panel.isShare ? ExperimentText.percent(tick) + " %" : ExperimentText.plain(tick),
        "text-anchor=\"end\"")
    }
    let points = panel.lines.first?.samples ?? []
    let step = (x1 - x0) / Double(points.count)
    for (place, point) in points.enumerated() {
      let middle = Int(x0 + step * (Double(place) + 0.5))
      svg += text(middle, panelHeight - bottom + 18, point.point, "text-anchor=\"middle\"")
    }
    svg += text(
      Int((x0 + x1) / 2), panelHeight - bottom + 40, axis, "text-anchor=\"middle\" fill=\"#555\"")
    for (number, lineOf) in panel.lines.enumerated() {
      let colour = colours[number % colours.count]
      // Series stand beside each other, so that none hides another.
      let shift = step * 0.5 * (Double(number) + 0.5) / Double(panel.lines.count) - step * 0.25
      var last: (Double, Double)?
      for (place, sample) in lineOf.samples.enumerated() {
        let x = x0 + step * (Double(place) + 0.5) + shift
        guard let value = sample.value, let low = sample.low, let high = sample.high else {
          last = nil
          continue
        }
        if let last, sample.number != nil {
          svg += line(last.0, last.1, x, y(value), "stroke=\"\(colour)\" stroke-width=\"1.5\"")
        }
        svg += line(x, y(low), x, y(high), "stroke=\"\(colour)\"")
        svg += "<circle cx=\"\(round(x))\" cy=\"\(round(y(value)))\" r=\"3.5\" fill=\"\(colour)\"/>\n"
        last = (x, y(value))
      }
      svg +=
        "<circle cx=\"\(width - right + 20)\" cy=\"\(top + 18 * number)\" r=\"3.5\" fill=\"\(colour)\"/>\n"
      svg += text(width - right + 32, top + 18 * number + 4, lineOf.series, "")
    }
    svg += line(x0, y0, x1, y0, "stroke=\"black\"") + line(x0, y0, x0, y1, "stroke=\"black\"")
    return svg
  }

  /// The values that a panel's height stands for.
  private struct Scale {
    let low: Double
    let high: Double
    let ticks: [Double]

    init(_ panel: ExperimentReport.Panel) {
      let most = panel.lines.flatMap(\.samples).compactMap(\.high).max() ?? 0
      low = 0
      if panel.isShare {
        high = 1
      } else {
        var unit = 1.0
        while unit * 10 <= most { unit *= 10 }
        high = ([1, 2, 5, 10].map { $0 * unit }.first { $0 >= most } ?? 1)
      }
      let step = high / 5
      ticks = (0...5).map { Double($0) * step }
    }
  }

  private static func text(_ x: Int, _ y: Int, _ text: String, _ style: String) -> String {
    var escaped = ""
    for character in text.printable() {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      default: escaped.append(character)
      }
    }
    return "<text x=\"\(x)\" y=\"\(y)\" \(style)>\(escaped)</text>\n"
  }

  private static func line(_ x: Double, _ y: Double, _ toX: Double, _ toY: Double, _ style: String) -> String
  {
    "<line x1=\"\(round(x))\" y1=\"\(round(y))\" x2=\"\(round(toX))\" y2=\"\(round(toY))\" \(style)/>\n"
  }

  private static func round(_ value: Double) -> String { ExperimentText.plain(value) }
}
