import CTwin

/// Checks the C twins: pins are taken back to the last count, no page is lost, buddies merge again.
func selfTest() -> Int32 {
  let tests: [(String, UnsafePointer<CChar>?)] = [
    ("pin", twin_pin_self_test()), ("fork", twin_fork_self_test()), ("alloc", twin_alloc_self_test()),
    ("offline", twin_offline_self_test()), ("start", twin_start_self_test()),
  ]
  for (name, failure) in tests {
    print("\(name): \(failure.map { "FAILED \(String(cString: $0))" } ?? "ok")")
  }
  return tests.allSatisfy { $0.1 == nil } ? 0 : 1
}
