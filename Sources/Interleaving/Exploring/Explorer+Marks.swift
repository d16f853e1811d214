/// Steps and choices that actors name.
extension Explorer {
  /// The current actor begins a step of the program.
  func beginStep(_ name: Int) {
    if isMuted || current == Self.nobody { return }
    names[current] = UInt16(truncatingIfNeeded: name + 1)
    retries.progress()
  }

  /// The name of a step or choice; empty for none.
  func stepName(_ name: UInt16) -> String {
    let place = Int(name) - 1
    if place < 0 { return "" }
    if place < program.stepNames.count { return program.stepNames[place] }
    let choice = place - program.stepNames.count
    return choice < choiceNames.count ? choiceNames[choice] : ""
  }

  /// The answer of the world at a point that the current actor has reached.
  func choose(_ name: String, among count: Int) -> Int {
    guard !isMuted, !isDraining, current != Self.nobody, ending == .running, (2...255).contains(count),
      choices < settings.choiceBudget, depth < stepLimit
    else { return 0 }
    let index = depth
    var value = 0
    if index < prefix {
      guard nodes[index].values == count else {
        ending = .diverged
        return 0
      }
      value = Int(nodes[index].chosen)
    } else {
      switch mode {
      case .depthFirst, .reduced: break
      case .random, .priorities: value = random.next(below: count)
      case .guided: value = guidedChoice(below: count)
      }
      nodes[index] = Node(
        enabled: 0, sleep: childSleep, done: 0, wanted: 0, chosen: UInt8(value), values: UInt8(count),
        preemptions: UInt16(truncatingIfNeeded: preemptions))
    }
    if value != 0 { choices += 1 }
    if mode == .reduced, index >= prefix || index == prefix - 1 { childSleep = nodes[index].sleep }
    var event = Event()
    event.process = UInt8(current)
    event.kind = .choice
    event.address = UInt(value)
    event.name = UInt16(truncatingIfNeeded: program.stepNames.count + choiceNumber(name) + 1)
    if tracksOrder {
      clocks[current][current] &+= 1
      event.clock = clocks[current]
    }
    events[index] = event
    depth = index + 1
    retries.progress()
    return value
  }

  private func choiceNumber(_ name: String) -> Int {
    if let known = choiceNames.firstIndex(of: name) { return known }
    choiceNames.append(name)
    return choiceNames.count - 1
  }

  private func guidedChoice(below count: Int) -> Int {
    if isLenient { return guideChoices.popLast().map { min($0, count - 1) } ?? 0 }
    guard guidePosition < guide.count else { return 0 }
    guidePosition += 1
    if case .choice(let value) = guide[guidePosition - 1], value < count { return value }
    ending = .diverged
    return 0
  }
}
