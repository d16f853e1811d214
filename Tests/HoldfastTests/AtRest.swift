import Interleaving

/// Looks at fields, or damages them, without their locks: the test runs nothing beside.
func atRest<Result>(_ body: () throws -> Result) rethrows -> Result {
  try LockOrder.atRest("the test runs nothing beside", body)
}
