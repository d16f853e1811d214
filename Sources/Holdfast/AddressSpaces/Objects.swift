import Interleaving
import SystemPackage

/// Backing objects that are opened by name: memfds and hugetlb files.
extension Machine {
  /// Makes an object and opens it, as memfd_create and ftruncate do.
  ///
  /// - Parameters:
  ///   - kind: its kind; the size of a hugetlb object is a multiple of a huge page.
  ///   - pages: its size. Pages are allocated when they are first used.
  ///   - process: the process that opens it.
  /// - Throws: EINVAL for a bad size, ENFILE if the table of objects is full, ESRCH for an ended process.
  public func createObject(
    kind: ObjectKind, pages: Int, for process: Process
  ) throws(AddressSpaceError) -> ObjectHandle {
    _ = try spaces.liveSpace(of: process, .createObject)
    guard pages > 0 else {
      throw AddressSpaceError(.createObject, .emptyRange, errno: .invalidArgument)
    }
    guard kind != .hugetlb || UInt64(pages) & (spaces.hugePages - 1) == 0 else {
      throw AddressSpaceError(
        .createObject, .unaligned(bytes: spaces.hugePages << 12), errno: .invalidArgument)
    }
    guard let id = pageCache.createObject(kind, pages: UInt64(pages)) else {
      throw AddressSpaceError(.createObject, .tableFull("objects"), errno: .tooManyOpenFilesInSystem)
    }
    return ObjectHandle(id: id)
  }

  /// Closes a handle; the object's pages are freed when no area maps it either.
  ///
  /// Every handle is closed exactly once, by a process that is alive.
  public func closeObject(_ handle: ObjectHandle, for process: Process) {
    tick()
    pageCache.putObject(handle.id, on: process.processor)
  }

  /// Pages of an object that are in its cache.
  public func cachedPages(of handle: ObjectHandle) -> Int {
    let object = pageCache.object(handle.id)
    return Int(object.lock.withLock { object.cachedPages })
  }
}

extension PageCache {
  /// A new object with one use, the caller's; nil if the table of objects is full.
  func createObject(_ kind: ObjectKind, pages: UInt64) -> RowID? {
    guard let id = pools.allocate(.objects) else { return nil }
    let object = object(id).unshared
    object.kind = kind
    object.pages = pages
    return id
  }

  /// Takes one more use of an object, unless it has been freed.
  package func getObject(_ id: RowID) -> Bool {
    global.tablesLock.withLock {
      let object = object(id)
      guard object.users > 0 else { return false }
      object.users += 1
      return true
    }
  }

  /// Drops a use of an object; the last one frees its pages.
  ///
  /// - Locks: the caller holds no lock above the space's: pages are locked one by one.
  package func putObject(_ id: RowID, on processor: Int) {
    let last = global.tablesLock.withLock {
      let object = object(id)
      // The row counts as in use until its pages are freed, although no new use can be taken.
      guard object.users == 1 else {
        object.users -= 1
        return false
      }
      object.users = 0
      return true
    }
    guard last else { return }
    empty(id, on: processor)
    pools.free(.objects, id)
  }

  func linkToObject(_ new: VirtualMemoryArea, _ object: BackingObject) {
    new.objectPrevious = .none
    new.objectNext = object.firstArea
    if object.firstArea != .none { spaces.area(object.firstArea).objectPrevious = new.id }
    object.firstArea = new.id
  }

  /// Links the area of a child behind that of its parent.
  func linkToObject(_ new: VirtualMemoryArea, _ object: BackingObject, after old: VirtualMemoryArea) {
    new.objectPrevious = old.id
    new.objectNext = old.objectNext
    if old.objectNext != .none { spaces.area(old.objectNext).objectPrevious = new.id }
    old.objectNext = new.id
  }

  func unlinkFromObject(_ old: VirtualMemoryArea, _ object: BackingObject) {
    if old.objectPrevious == .none {
      object.firstArea = old.objectNext
    } else {
      spaces.area(old.objectPrevious).objectNext = old.objectNext
    }
    if old.objectNext != .none { spaces.area(old.objectNext).objectPrevious = old.objectPrevious }
  }

  /// An object whose cached pages stand for the movable memory of a host's programs.
  package func makeHostObject(pages: UInt64) -> RowID? { createObject(.host, pages: pages) }

  /// Makes a frame of a chunk a page of such an object; false if there is no memory for the cache's tables.
  package func keepInCache(
    _ frame: FrameNumber, of object: RowID, at index: UInt64, swapBacked: Bool, for process: Process
  ) -> Bool {
    let page = memmap.page(frame)
    page.refcount.store(1)
    page.lock.lock()
    page.set(swapBacked ? [.uptodate, .swapBacked] : [.uptodate])
    guard case .inserted = insert(object, index, frame, for: process) else {
      page.lock.unlock()
      return false
    }
    page.lock.unlock()
    lru.add(frame, on: process.processor)
    folios.put(frame, on: process.processor)
    return true
  }
}
