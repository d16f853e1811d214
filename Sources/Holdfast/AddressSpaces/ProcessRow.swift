public import Interleaving

/// The layout of a process's row.
///
/// One thread at a time acts for a process: it owns what is noted so.
@usableFromInline
package enum ProcessRow: FixedRow {
  @inlinable @_transparent package static var live: Field<UInt32> {
    Field("in use", .written(under: .tables))
  }
  @inlinable @_transparent package static var id: Field<ProcessID> { live.next("number", .immutable) }
  @inlinable @_transparent package static var space: Field<RowID> { id.next("space", .immutable) }
  @inlinable @_transparent package static var processor: Field<UInt32> { space.next("processor", .owner) }
  @inlinable @_transparent package static var scope: Field<AllocationScope> {
    processor.next("scope", .owner)
  }
  @inlinable @_transparent package static var capabilities: Field<Capabilities> {
    scope.next("capabilities", .owner)
  }
  // Others read it, who pin what the process has mapped for a device.
  @inlinable @_transparent package static var memlockLimit: Field<UInt64> {
    capabilities.next("memlock limit", .atomic)
  }
  // Others set it.
  @inlinable @_transparent package static var signals: Field<UInt32> { memlockLimit.next("signals", .atomic) }
  @inlinable @_transparent package static var name: Field<ProcessName> { signals.next("name", .immutable) }

  @inlinable @_transparent package static var stride: Int { name.stride(align: 64) }

  @usableFromInline package static var fields: [any RowField] {
    [live, id, space, processor, scope, capabilities, memlockLimit, signals, name]
  }
}

/// A name of up to 15 bytes, as in Linux.
@frozen
@usableFromInline
package struct ProcessName: CustomStringConvertible {
  private var bytes: (UInt64, UInt64) = (0, 0)

  /// A name; what exceeds 15 bytes is cut off.
  package init(_ text: String) {
    withUnsafeMutableBytes(of: &bytes) { buffer in
      for (i, byte) in text.utf8.prefix(15).enumerated() { buffer[i] = byte }
    }
  }

  /// The text.
  @usableFromInline package var description: String {
    withUnsafeBytes(of: bytes) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
