import Interleaving
import SystemPackage

/// Backing objects that are opened by name: memfds and hugetlb files.
extension Machine {
  /// Makes an object and opens it, as memfd_create and ftruncate do.
  ///
  /// - Parameters:
  ///   - kind: its kind; the size of a hugetlb object is a multiple of a huge page.
  ///   - pages: its size. Pages are allocated when they are first used.
  /// - Throws: EINVAL for a bad size, ENFILE if the table of objects is full, ESRCH for an ended process.
  public func createObject(
    kind: ObjectKind, pages: Int, for process: Process
  ) throws(AddressSpaceError) -> ObjectHandle {
    _ = try liveSpace(of: process, .createObject)
    guard pages > 0 else {
      throw AddressSpaceError(.createObject, .emptyRange, errno: .invalidArgument)
    }
    guard kind != .hugetlb || UInt64(pages) & (hugePages - 1) == 0 else {
      throw AddressSpaceError(
        .createObject, .unaligned(bytes: hugePages << 12), errno: .invalidArgument)
    }
    guard let id = newObject(kind, pages: UInt64(pages), isPrivate: false) else {
      throw AddressSpaceError(.createObject, .tableFull("objects"), errno: .tooManyOpenFilesInSystem)
    }
    return ObjectHandle(id: id)
  }

  /// Closes a handle; the object's pages are freed when no area maps it either.
  ///
  /// Every handle is closed exactly once, by a process that is alive.
  public func closeObject(_ handle: ObjectHandle, for process: Process) {
    tick()
    releaseObject(handle.id, on: process.processor)
  }

  /// Pages of an object that are in its cache.
  public func cachedPages(of handle: ObjectHandle) -> Int {
    let object = object(handle.id)
    return Int(object.lock.withLock { object.cachedPages })
  }

  /// A new object with one use, the caller's; nil if the table of objects is full.
  func newObject(_ kind: ObjectKind, pages: UInt64, isPrivate: Bool) -> RowID? {
    guard let id = takePoolRow(.objects) else { return nil }
    let object = object(id)
    object.kind = kind
    object.pages = pages
    object.isPrivate = isPrivate
    return id
  }
}
