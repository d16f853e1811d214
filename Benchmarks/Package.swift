// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "HoldfastBenchmarks",
  dependencies: [.package(name: "Holdfast", path: "..")],
  targets: [
    .target(name: "CTwin"),
    .executableTarget(
      name: "holdfast-bench",
      dependencies: [
        "CTwin", .product(name: "Holdfast", package: "Holdfast"),
        .product(name: "InterleavingExplored", package: "Holdfast"),
        .product(name: "HoldfastLabExplored", package: "Holdfast"),
        .product(name: "HoldfastScenario", package: "Holdfast"),
      ],
      swiftSettings: strict),
  ],
  cLanguageStandard: .gnu11
)
