public import SystemPackage

/// Why an allocation failed, or the freeing of one.
public struct AllocationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason.
  public enum Cause: Hashable, Sendable {
    /// No zone could serve the request; the list says what each of them lacked. There is no reclaim to try.
    case noMemory([ZoneRefusal])
    /// The failure was injected (`Machine.injectFailures`).
    case injected
    /// The flags contradict each other: two zones, or two types.
    case illegalFlags
    /// The order is negative or above the largest.
    case orderOutOfRange(largest: Int)
    /// The machine has no such node.
    case noSuchNode(count: Int)
    /// The frame to be freed is not the first one of an allocation.
    case notAllocated(FrameNumber)
  }

  /// The order of the request: 2^order frames.
  public let order: Int
  /// The flags of the request, before scopes are applied.
  public let gfp: GFPFlags
  /// The reason.
  public let cause: Cause

  /// ENOMEM, or EINVAL for an invalid request.
  public var errno: Errno {
    switch cause {
    case .noMemory, .injected: .noMemory
    case .illegalFlags, .orderOutOfRange, .noSuchNode, .notAllocated: .invalidArgument
    }
  }

  /// What was requested and why it failed.
  public var description: String {
    switch cause {
    case .noMemory(let refusals):
      let zones = refusals.map { "\($0.zone): \($0.reason)" }.joined(separator: "; ")
      return "no memory for order \(order) (\(gfp)), no reclaim to try: \(zones.isEmpty ? "no zone" : zones)"
    case .injected: return "allocation of order \(order) (\(gfp)) made to fail"
    case .illegalFlags:
      return "allocation flags \(gfp): expected at most one of __GFP_DMA, __GFP_DMA32 and __GFP_HIGHMEM, "
        + "and at most one of __GFP_MOVABLE and __GFP_RECLAIMABLE"
    case .orderOutOfRange(let largest): return "allocation of order \(order): expected 0 to \(largest)"
    case .noSuchNode(let count): return "allocation on a node that does not exist: expected 0 to \(count - 1)"
    case .notAllocated(let frame):
      return "\(frame) with order \(order) given back: expected the first frame of an allocation"
    }
  }
}

/// A zone that could not serve an allocation.
public struct ZoneRefusal: Hashable, Sendable {
  /// What the zone lacked.
  public enum Reason: Hashable, Sendable, CustomStringConvertible {
    /// The request's flags do not allow the zone: it is above the highest zone allowed, or on another node.
    case notAllowed
    /// The free frames that the request may use do not exceed what must stay free.
    case watermark(free: Int, unusable: Int, kept: Int)
    /// Enough is free, but no block of the order and of a type that the request may use.
    case fragmented(free: Int)

    /// The reason in words.
    public var description: String {
      switch self {
      case .notAllowed: "not allowed by the flags"
      case .watermark(let free, let unusable, let kept):
        "\(free) free, \(unusable) of them unusable, \(kept) to be kept"
      case .fragmented(let free): "\(free) free, but no block of that order and type"
      }
    }
  }

  /// The zone.
  public let zone: ZoneID
  /// What it lacked.
  public let reason: Reason
}
