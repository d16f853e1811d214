// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target of ours.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

// An explored target is a symbolic link to the sources of the plain one. Its modules answer to the plain names
// through aliases, so that no engine source says which of the two it is; only `Interleaving` asks
// for `EXPLORER`, where a schedule point is a call instead of nothing. Fibers switch inside accesses, which
// the dynamic exclusivity checker cannot follow, hence the last flag.
func explored(_ modules: [String]) -> [SwiftSetting] {
  strict + [
    .define("EXPLORER"),
    .unsafeFlags(
      modules.flatMap { ["-module-alias", "\($0)=\($0)Explored"] } + ["-enforce-exclusivity=unchecked"]),
    .unsafeFlags(["-O"], .when(configuration: .debug)),
  ]
}

// Tests of an engine without optimisation take three times as long; assertions stay. In a dependency, which SwiftPM
// keeps in a folder of that name, it refuses such flags, and nobody runs our tests.
let optimised: [SwiftSetting] =
  Context.packageDirectory.contains("/checkouts/")
  ? [] : [.unsafeFlags(["-O", "-assert-config", "Debug"], .when(configuration: .debug))]

/// A library and its explored twin.
///
/// `of` names the twins that it is made of, `with` what both share, `exploring` the folder of what only an
/// explored build has.
func twins(
  _ name: String, of modules: [String] = [], with shared: [Target.Dependency], exploring: String? = nil
) -> [Target] {
  [
    .target(
      name: name, dependencies: modules.map { .byName(name: $0) } + shared,
      exclude: exploring.map { [$0] } ?? [], swiftSettings: strict + optimised),
    .target(
      name: name + "Explored", dependencies: modules.map { .byName(name: $0 + "Explored") } + shared,
      swiftSettings: explored(modules)),
  ]
}

/// The tests of a library, which its explored twin passes too.
func twinTests(
  _ name: String, of modules: [String], with shared: [Target.Dependency], exploring: String? = nil
) -> [Target] {
  [
    .testTarget(
      name: name + "Tests", dependencies: modules.map { .byName(name: $0) } + shared,
      exclude: exploring.map { [$0] } ?? [], swiftSettings: strict),
    .testTarget(
      name: name + "ExploredTests", dependencies: modules.map { .byName(name: $0 + "Explored") } + shared,
      swiftSettings: explored(modules)),
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
    .executable(name: "holdfast", targets: ["HoldfastCommand"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/onevcat/Rainbow", from: "4.2.2"),
  ],
  targets: [
    [
      .target(name: "CLinux"),
      // The words that the language, the engine and its explored twin share, so it has no twin itself.
      .target(name: "HoldfastWords", swiftSettings: strict),
      .target(name: "HoldfastScenario", dependencies: ["HoldfastWords", "Yams"], swiftSettings: strict),
      .target(
        name: "HoldfastLinux", dependencies: ["HoldfastScenario", "CLinux", system], swiftSettings: strict),
      .target(
        name: "HoldfastReport", dependencies: ["HoldfastScenario", "Rainbow"], swiftSettings: strict),
      .executableTarget(
        name: "HoldfastCommand",
        dependencies: [
          "HoldfastLab", "HoldfastLabExplored", "HoldfastReport", "HoldfastScenario", "HoldfastLinux",
          "Holdfast",
          .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        swiftSettings: strict),
    ],
    twins("Interleaving", with: ["CLinux"], exploring: "Exploring"),
    twins("Holdfast", of: ["Interleaving"], with: ["CLinux", "HoldfastWords", system]),
    twins(
      "HoldfastLab", of: ["Holdfast", "Interleaving"], with: ["HoldfastScenario", "HoldfastLinux", system],
      exploring: "Exploring"),

    [
      .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
      .target(name: "TestThreads", path: "Tests/TestThreads", swiftSettings: strict),
      .testTarget(
        name: "InterleavingTests", dependencies: ["Interleaving", "CLinux", "TestThreads"],
        swiftSettings: strict),
      .testTarget(
        name: "InterleavingExploredTests", dependencies: ["InterleavingExplored", "CLinux"],
        swiftSettings: explored(["Interleaving"])),
      .testTarget(
        name: "HoldfastScenarioTests", dependencies: ["HoldfastScenario"], swiftSettings: strict),
      .testTarget(
        name: "HoldfastLinuxTests", dependencies: ["HoldfastLinux", "HoldfastScenario"],
        swiftSettings: strict),
      .testTarget(
        name: "HoldfastReportTests", dependencies: ["HoldfastReport", "HoldfastScenario"],
        swiftSettings: strict),
      // Runs the built command, which `swift test` builds with everything else.
      .testTarget(name: "HoldfastCommandTests", swiftSettings: strict),
      // Reads the repository's own files, and the kernel's source where it is installed.
      .testTarget(name: "DocumentationTests", dependencies: ["Yams"], swiftSettings: strict),
    ],
    twinTests(
      "Holdfast", of: ["Holdfast", "HoldfastLab", "Interleaving"],
      with: ["CLinux", "CAllocationCounter", "TestThreads", system]),
    twinTests(
      "HoldfastLab", of: ["HoldfastLab", "Holdfast", "Interleaving"],
      with: ["HoldfastScenario", "HoldfastLinux", system], exploring: "Exploring"),
  ].flatMap { $0 }
)

// `swift test` builds and links the tests of all targets. A sanitizer's build takes its time, and wants a few.
if let only = Context.environment["HOLDFAST_TESTS"] {
  let wanted = only.split(separator: " ")
  package.targets.removeAll { $0.type == .test && !wanted.contains($0.name[...]) }
}
