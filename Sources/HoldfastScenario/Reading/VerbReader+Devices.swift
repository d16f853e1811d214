/// Reads the verbs of containers and of the devices in them.
extension VerbReader {
  mutating func readDevices(_ body: Value) throws(ScenarioError) -> Verb {
    switch word {
    case .container:
      let fields = try body.body(["as", "kind"], main: "as")
      let name = try names.define(fields.required("as"), as: .container, at: place, extent: nil)
      return .container(name: name, try fields["kind"]?.word() ?? .vfio)
    case .attach:
      let fields = try body.fields(["as", "container", "iommu", "aperture", "emulated"])
      return .attach(
        Verb.Attach(
          name: try names.define(fields.required("as"), as: .device, at: place, extent: nil),
          container: try names.use(fields.required("container"), as: .container, at: place),
          iommu: try fields["iommu"]?.integer(0...63) ?? 0, aperture: try fields["aperture"]?.size(),
          isEmulated: try fields["emulated"]?.boolean() ?? false))
    case .dmaMap:
      let fields = try body.fields(["as", "container", "iova", "access", "file"] + Self.range)
      let container = try names.use(fields.required("container"), as: .container, at: place)
      let range = try readRange(fields)
      return .dmaMap(
        Verb.DMAMap(
          name: try define(fields["as"], .pin), container: container, range: range,
          iova: try fields["iova"]?.offset(), isFile: try fields["file"]?.boolean() ?? false,
          access: try fields["access"]?.word() ?? .rw))
    case .dmaCopy:
      let fields = try body.fields(["as", "from", "iova", "size", "to", "at", "access"])
      let source = try names.use(fields.required("from"), as: .container, at: place)
      let target = try names.use(fields.required("to"), as: .container, at: place)
      return .dmaCopy(
        Verb.DMACopy(
          name: try define(fields["as"], .pin), source: source, range: try readDeviceRange(fields),
          target: target, iova: try fields["at"]?.offset(), access: try fields["access"]?.word() ?? .rw))
    case .dmaUnmap:
      let fields = try body.body(["container", "iova", "size"], main: "container")
      let container = try names.use(fields.required("container"), as: .container, at: place)
      let isWhole = fields["iova"] == nil && fields["size"] == nil
      return .dmaUnmap(container: container, isWhole ? nil : try readDeviceRange(fields))
    default:
      return .detach(
        device: try names.use(
          body.body(["device"], main: "device").required("device"), as: .device, at: place))
    }
  }

  /// Addresses of a device.
  func readDeviceRange(_ fields: Fields) throws(ScenarioError) -> Verb.DeviceRange {
    Verb.DeviceRange(
      iova: try fields.required("iova").offset(), size: try fields.required("size").size())
  }
}
