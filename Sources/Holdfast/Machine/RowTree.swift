/// A row that is a node of a treap, in which nodes are ordered by a key.
///
/// The priority of a node is a hash of its row's number, so that the tree's shape needs no state of its own and is the
/// same in every run.
protocol TreeNode {
  /// The row's number.
  var id: RowID { get }
  /// What nodes are ordered by; no two nodes of a tree have the same.
  var key: UInt64 { get }
  /// The subtrees of lower and of higher keys.
  var left: RowID { get nonmutating set }
  var right: RowID { get nonmutating set }

  /// The node of a number.
  static func node(_ id: RowID, of machine: Machine) -> Self
}

/// Reading and changing a treap. The caller holds the lock that protects it, and keeps its root.
extension Room {
  /// The nodes of a tree, ascending.
  func ascending<Node: TreeNode>(_ kind: Node.Type, under root: RowID) -> [Node] {
    func collect(_ root: RowID, _ found: inout [Node]) {
      guard root != .none else { return }
      let node = Node.node(root, of: machine)
      collect(node.left, &found)
      found.append(node)
      collect(node.right, &found)
    }
    var found: [Node] = []
    collect(root, &found)
    return found
  }

  /// Inserts a node; returns the new root.
  func inserted<Node: TreeNode>(_ new: Node, under root: RowID) -> RowID {
    guard root != .none else {
      new.left = .none
      new.right = .none
      return new.id
    }
    if priority(new.id) > priority(root) {
      (new.left, new.right) = parts(Node.self, of: root, below: new.key)
      return new.id
    }
    let node = Node.node(root, of: machine)
    if new.key < node.key {
      node.left = inserted(new, under: node.left)
    } else {
      node.right = inserted(new, under: node.right)
    }
    return root
  }

  /// Removes a node, which must be in the tree; returns the new root.
  func removed<Node: TreeNode>(_ old: Node, from root: RowID) -> RowID {
    guard root != .none else { fatalError("\(Node.self) \(old.id.rawValue) is not in the tree") }
    if root == old.id { return joined(Node.self, old.left, old.right) }
    let node = Node.node(root, of: machine)
    if old.key < node.key {
      node.left = removed(old, from: node.left)
    } else {
      node.right = removed(old, from: node.right)
    }
    return root
  }

  private func parts<Node: TreeNode>(
    _ kind: Node.Type, of root: RowID, below key: UInt64
  ) -> (RowID, RowID) {
    guard root != .none else { return (.none, .none) }
    let node = Node.node(root, of: machine)
    if node.key < key {
      let (low, high) = parts(kind, of: node.right, below: key)
      node.right = low
      return (root, high)
    }
    let (low, high) = parts(kind, of: node.left, below: key)
    node.left = high
    return (low, root)
  }

  private func joined<Node: TreeNode>(_ kind: Node.Type, _ low: RowID, _ high: RowID) -> RowID {
    if low == .none { return high }
    if high == .none { return low }
    if priority(low) > priority(high) {
      let node = Node.node(low, of: machine)
      node.right = joined(kind, node.right, high)
      return low
    }
    let node = Node.node(high, of: machine)
    node.left = joined(kind, low, node.left)
    return high
  }

  private func priority(_ id: RowID) -> UInt32 {
    var mixed = id.rawValue &* 0x9e37_79b9
    mixed = (mixed ^ (mixed >> 16)) &* 0x85eb_ca6b
    return mixed ^ (mixed >> 13)
  }
}
