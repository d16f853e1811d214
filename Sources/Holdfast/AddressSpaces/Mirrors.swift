public import Interleaving

/// The layout of the row of a device that mirrors an address space.
@usableFromInline
package enum MirrorRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var lock: Field<SpinLock.Word> {
    live.next("lock", .lock(.mirror))
  }
  @inlinable @_transparent package static var root: Field<RowID> {
    lock.next("root of the pages", .guarded(by: .mirror))
  }
  @inlinable @_transparent package static var space: Field<RowID> { root.next("space", .immutable) }
  @inlinable @_transparent package static var next: Field<RowID> {
    space.next("next mirror", .guarded(by: .pageTable))
  }

  @inlinable @_transparent package static var stride: Int { next.stride(align: 32) }

  @usableFromInline package static var fields: [any RowField] { [live, lock, root, space, next] }
}

/// The layout of the row of a page that a device has exclusively.
@usableFromInline
package enum MirroredPageRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> { Field("in use", .guarded(by: .tables)) }
  @inlinable @_transparent package static var left: Field<RowID> {
    live.next("left page", .guarded(by: .mirror))
  }
  @inlinable @_transparent package static var right: Field<RowID> {
    left.next("right page", .guarded(by: .mirror))
  }
  @inlinable @_transparent package static var frame: Field<FrameNumber> {
    right.next("frame", .guarded(by: .mirror))
  }
  @inlinable @_transparent package static var page: Field<UInt64> {
    frame.next("virtual page", .guarded(by: .mirror))
  }

  @inlinable @_transparent package static var stride: Int { page.stride(align: 8) }

  @usableFromInline package static var fields: [any RowField] { [live, left, right, frame, page] }
}

/// A device that mirrors an address space (struct mmu_interval_notifier, and the driver's tables): a handle to
/// its row.
package struct Mirror {
  let row: Row
  package let id: RowID

  /// The same while no other thread can reach the row.
  var unshared: Mirror { Mirror(row: row.unshared, id: id) }

  /// 1 while the row is in use.
  package var live: UInt32 { row[MirrorRow.live] }
  /// Protects the device's tables; held while it accesses memory, so that a revocation waits for its accesses.
  package var lock: SpinLock { row.lock(MirrorRow.lock) }
  /// Root of the tree of pages that it has.
  var root: RowID {
    get { row[MirrorRow.root] }
    nonmutating set { row[MirrorRow.root] = newValue }
  }
  /// The space whose row the device keeps.
  package var space: RowID {
    get { row[MirrorRow.space] }
    nonmutating set { row[MirrorRow.space] = newValue }
  }
  /// The next device of the same space.
  var next: RowID {
    get { row[MirrorRow.next] }
    nonmutating set { row[MirrorRow.next] = newValue }
  }
}

/// A page that a device has exclusively: a handle to its row.
package struct MirroredPage {
  let row: Row
  package let id: RowID

  /// The same while no other thread can reach the row.
  var unshared: MirroredPage { MirroredPage(row: row.unshared, id: id) }

  /// The frame that the device reaches.
  package var frame: FrameNumber {
    get { row[MirroredPageRow.frame] }
    nonmutating set { row[MirroredPageRow.frame] = newValue }
  }
  /// The virtual page.
  package var page: UInt64 {
    get { row[MirroredPageRow.page] }
    nonmutating set { row[MirroredPageRow.page] = newValue }
  }
}

extension MirroredPage: TreeNode {
  var key: UInt64 { page }
  var left: RowID {
    get { row[MirroredPageRow.left] }
    nonmutating set { row[MirroredPageRow.left] = newValue }
  }
  var right: RowID {
    get { row[MirroredPageRow.right] }
    nonmutating set { row[MirroredPageRow.right] = newValue }
  }

  static func node(_ id: RowID, of machine: Machine) -> MirroredPage { machine.mirrors.page(id) }
}

/// Devices with page tables of their own, as an address space knows them.
///
/// The kernel calls their drivers around a change, before it takes the page-table lock (MMU notifiers), and a driver
/// compares a sequence number to see whether something was changed meanwhile. Here the call is made under the
/// page-table lock, for the pages whose entries say that a device has them: others no device has.
package struct Mirrors: Room {
  package let machine: Machine

  package func mirror(_ id: RowID) -> Mirror {
    Mirror(row: machine.row(machine.layout.mirrors, id.index), id: id)
  }
  package func page(_ id: RowID) -> MirroredPage {
    MirroredPage(row: machine.row(machine.layout.mirroredPages, id.index), id: id)
  }
}

extension Room {
  /// Devices with page tables of their own.
  @inline(__always)
  package var mirrors: Mirrors { Mirrors(machine: machine) }
}

extension Mirrors {
  // MARK: - Making and closing

  /// Lets a device mirror a space; nil if the table is full.
  ///
  /// The device keeps the space's row, though not what is mapped.
  package func open(of id: RowID) -> RowID? {
    guard let new = pools.allocate(.mirrors) else { return nil }
    spaces.getSpaceRow(id)
    let space = spaces.space(id)
    mirror(new).unshared.space = id
    space.pageTableLock.withLock {
      mirror(new).next = space.firstMirror
      space.firstMirror = new
    }
    return new
  }

  /// Ends a mirror: the device loses its pages, and faults restore their entries.
  package func close(_ id: RowID) {
    let old = mirror(id)
    let space = spaces.space(old.space)
    space.pageTableLock.withLock {
      if space.firstMirror == id {
        space.firstMirror = old.next
      } else {
        var at = mirror(space.firstMirror)
        while at.next != id { at = mirror(at.next) }
        at.next = old.next
      }
    }
    old.lock.withLock { while old.root != .none { drop(page(old.root), from: old) } }
    let row = old.space
    pools.free(.mirrors, id)
    spaces.putSpaceRow(row)
  }

  // MARK: - Pages

  /// The page that a device has at an address, if it has one.
  ///
  /// - Locks: the caller holds the mirror's lock.
  package func find(_ page: UInt64, in mirror: Mirror) -> MirroredPage? {
    var at = mirror.root
    while at != .none {
      let node = self.page(at)
      if node.page == page { return node }
      at = page < node.page ? node.left : node.right
    }
    return nil
  }

  /// Enters a page into a device's tables; false if the table of such pages is full.
  ///
  /// - Locks: the caller holds the mirror's lock.
  package func enter(_ page: UInt64, _ frame: FrameNumber, into mirror: Mirror) -> Bool {
    if let known = find(page, in: mirror) {
      known.frame = frame
      return true
    }
    guard let id = pools.allocate(.mirroredPages) else { return false }
    let new = self.page(id)
    new.unshared.page = page
    new.unshared.frame = frame
    mirror.root = inserted(new, under: mirror.root)
    return true
  }

  private func drop(_ old: MirroredPage, from mirror: Mirror) {
    mirror.root = removed(old, from: mirror.root)
    pools.free(.mirroredPages, old.id)
  }

  /// Takes a page away from every device that mirrors a space; waits for accesses that they are making.
  ///
  /// Whoever changes or removes an exclusive entry calls it first.
  ///
  /// - Locks: the caller holds the space's page-table lock.
  /// - Kernel: include/linux/mmu_notifier.h:mmu_notifier_invalidate_range_start (6.1); without other events than the end
  ///   of exclusive access, and so without owners, ranges, notifiers that may not sleep.
  package func revoke(_ space: AddressSpace, _ page: UInt64) {
    var next = space.firstMirror
    while next != .none {
      let mirror = mirror(next)
      mirror.lock.withLock { if let found = find(page, in: mirror) { drop(found, from: mirror) } }
      next = mirror.next
    }
  }

  /// The pages that a device has, ascending.
  ///
  /// - Locks: the caller holds the mirror's lock, or nothing runs.
  package func pages(of mirror: Mirror) -> [MirroredPage] {
    ascending(MirroredPage.self, under: mirror.root)
  }

  /// The devices that mirror spaces; nothing runs.
  package var all: [Mirror] {
    guard pools.usedRows(.mirrors) > 0 else { return [] }
    return (1...pools.usedRows(.mirrors)).map { mirror(RowID(rawValue: UInt32($0))) }.filter { $0.live != 0 }
  }
}
