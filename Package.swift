// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target of ours.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

// A twin target is a symbolic link to the sources of another one. Its modules answer to the plain names
// through aliases, so that no engine source says which of the two it is; only `Interleaving` asks
// for `EXPLORER`, where a schedule point is a call instead of nothing. Fibers switch inside accesses, which
// the dynamic exclusivity checker cannot follow, hence the last flag.
func explored(_ modules: String...) -> [SwiftSetting] {
  strict + [
    .define("EXPLORER"),
    .unsafeFlags(
      modules.flatMap { ["-module-alias", "\($0)=\($0)Explored"] } + ["-enforce-exclusivity=unchecked"]),
    .unsafeFlags(["-O"], .when(configuration: .debug)),
  ]
}

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let collections: Target.Dependency = .product(name: "Collections", package: "swift-collections")

let package = Package(
  name: "Holdfast",
  products: [
    .library(name: "Holdfast", targets: ["Holdfast"]),
    // For the explorer's rows of the benchmarks.
    .library(name: "InterleavingExplored", targets: ["InterleavingExplored"]),
    .library(name: "HoldfastLabExplored", targets: ["HoldfastLabExplored"]),
    .library(name: "HoldfastScenario", targets: ["HoldfastScenario"]),
    .executable(name: "holdfast", targets: ["holdfast-command"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/onevcat/Rainbow", from: "4.2.2"),
  ],
  targets: [
    .target(name: "CLinux"),
    .target(name: "Interleaving", dependencies: ["CLinux"], swiftSettings: strict),
    .target(name: "InterleavingExplored", dependencies: ["CLinux"], swiftSettings: explored()),
    .target(name: "Holdfast", dependencies: ["Interleaving", "CLinux", system], swiftSettings: strict),
    .target(
      name: "HoldfastExplored", dependencies: ["InterleavingExplored", "CLinux", system],
      swiftSettings: explored("Interleaving")),

    .target(name: "HoldfastScenario", dependencies: ["Yams"], swiftSettings: strict),
    .target(
      name: "HoldfastLinux", dependencies: ["HoldfastScenario", "CLinux", system], swiftSettings: strict),
    .target(
      name: "HoldfastLab", dependencies: ["Holdfast", "HoldfastScenario", "HoldfastLinux", system],
      // What explores is made of the twins only.
      exclude: ["Exploring"], swiftSettings: strict),
    .target(
      name: "HoldfastLabExplored",
      dependencies: ["HoldfastExplored", "HoldfastScenario", "HoldfastLinux", system],
      swiftSettings: explored("Holdfast", "Interleaving")),
    .target(
      name: "HoldfastReport", dependencies: ["HoldfastScenario", "Rainbow"], swiftSettings: strict),
    .executableTarget(
      name: "holdfast-command",
      dependencies: [
        "HoldfastLab", "HoldfastLabExplored", "HoldfastReport", "HoldfastScenario", "HoldfastLinux",
        "Holdfast",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/holdfast", swiftSettings: strict),

    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
    .testTarget(
      name: "InterleavingTests", dependencies: ["Interleaving", "CLinux"], swiftSettings: strict),
    .testTarget(
      name: "InterleavingExploredTests", dependencies: ["InterleavingExplored", "CLinux"],
      swiftSettings: explored("Interleaving")),
    .testTarget(
      name: "HoldfastTests",
      dependencies: ["Holdfast", "HoldfastLab", "Interleaving", "CLinux", "CAllocationCounter", system],
      swiftSettings: strict),
    .testTarget(
      name: "HoldfastExploredTests",
      dependencies: [
        "HoldfastExplored", "HoldfastLabExplored", "InterleavingExplored", "CLinux", "CAllocationCounter",
        system,
      ],
      swiftSettings: explored("Holdfast", "HoldfastLab", "Interleaving")),
    .testTarget(
      name: "HoldfastLabTests",
      dependencies: [
        "HoldfastLab", "Holdfast", "Interleaving", "HoldfastScenario", "HoldfastLinux", system,
      ],
      exclude: ["Exploring"], swiftSettings: strict),
    .testTarget(
      name: "HoldfastLabExploredTests",
      dependencies: [
        "HoldfastLabExplored", "HoldfastExplored", "InterleavingExplored", "HoldfastScenario",
        "HoldfastLinux", system,
      ],
      swiftSettings: explored("Holdfast", "HoldfastLab", "Interleaving")),
    .testTarget(
      name: "HoldfastScenarioTests", dependencies: ["HoldfastScenario"], swiftSettings: strict),
    .testTarget(
      name: "HoldfastLinuxTests", dependencies: ["HoldfastLinux", "HoldfastScenario"], swiftSettings: strict),
    .testTarget(
      name: "HoldfastReportTests", dependencies: ["HoldfastReport", "HoldfastScenario"],
      swiftSettings: strict),
    // Runs the built command, which `swift test` builds with everything else.
    .testTarget(name: "HoldfastCommandTests", swiftSettings: strict),
  ]
)
