// swift-tools-version: 6.2
import PackageDescription

// Folders are short, modules carry the project's prefix. Arrows run downwards only:
//
//     apus ── ApusServer ── Apus ── ApusIngest ─┐
//                             └──── ApusQuery ──┴── ApusStorage
//     apus ── ApusConfiguration ── ApusServer
//     apus ── ApusTools ──── Apus, ApusClient
//     apus ── ApusCollect ── ApusClient
//
// Whoever depends on the product `Apus` builds no networking: SwiftNIO hangs below ApusServer.

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

// Told by the environment, since the manifest is cached: what it found out about git by itself
// would be the commit of the day it was first read.
let commit = Context.environment["APUS_COMMIT"] ?? "unknown"

let package = Package(
    name: "apus",
    products: [
        .library(name: "Apus", targets: ["Apus"]),
        .executable(name: "apus", targets: ["apus"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .systemLibrary(
            name: "CZstd", path: "Sources/CZstd", pkgConfig: "libzstd",
            providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(
            name: "CLZ4", path: "Sources/CLZ4", pkgConfig: "liblz4",
            providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(
            name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib",
            providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CIsal", path: "Sources/CIsal", pkgConfig: "libisal",
            providers: [.apt(["libisal-dev"])]),
        // What Swift cannot say: CPU instructions chosen at run time, thread names, SIGBUS.
        .target(name: "ApusKernels", path: "Sources/Kernels"),
        // RE2 behind a C interface, so that no pattern can make a query run for ever.
        .target(
            name: "ApusRegexShim", path: "Sources/RegexShim",
            linkerSettings: [.linkedLibrary("re2"), .linkedLibrary("stdc++")]),

        .target(
            name: "ApusStorage", dependencies: ["ApusKernels", "CZstd", "CLZ4"],
            path: "Sources/Storage", swiftSettings: strict),
        .target(
            name: "ApusIngest", dependencies: ["ApusStorage", "ApusKernels"],
            path: "Sources/Ingest", swiftSettings: strict),
        .target(
            name: "ApusQuery", dependencies: ["ApusStorage", "ApusKernels", "ApusRegexShim"],
            path: "Sources/Query", swiftSettings: strict),
        .target(
            name: "Apus", dependencies: ["ApusStorage", "ApusIngest", "ApusQuery", "ApusKernels"],
            path: "Sources/Apus", swiftSettings: strict),
        .target(
            name: "ApusServer",
            dependencies: [
                "Apus", "ApusStorage", "ApusIngest", "ApusQuery", "ApusKernels", "CZlib",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Server", swiftSettings: strict),
        // Flags, environment and file of `apus serve`, from one table of settings.
        .target(
            name: "ApusConfiguration",
            dependencies: [
                "Apus", "ApusServer", "ApusStorage",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Configuration", swiftSettings: strict),
        // A small blocking HTTP client, for the commands that speak to a running server.
        .target(
            name: "ApusClient", path: "Sources/Client", swiftSettings: strict),
        // The host collector knows nothing of the database but line protocol over HTTP.
        .target(
            name: "ApusCollect", dependencies: ["ApusClient"], path: "Sources/Collect",
            swiftSettings: strict),
        // What stands behind the commands that work by hand: shell, import, export, inspection.
        .target(
            name: "ApusTools",
            dependencies: [
                "Apus", "ApusStorage", "ApusIngest", "ApusQuery", "ApusKernels", "ApusClient",
                "CIsal", "CZlib", "CZstd",
            ],
            path: "Sources/Tools", swiftSettings: strict),
        .target(
            name: "ApusBuildCommit", path: "Sources/BuildCommit",
            cSettings: [.define("APUS_COMMIT", to: "\"\(commit)\"")]),
        .executableTarget(
            name: "apus",
            dependencies: [
                "Apus", "ApusBuildCommit", "ApusServer", "ApusStorage", "ApusIngest",
                "ApusCollect", "ApusClient", "ApusConfiguration", "ApusTools",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/Command", swiftSettings: strict),

        .target(
            name: "ApusTestKit", dependencies: ["ApusStorage"],
            path: "Tests/TestKit", swiftSettings: strict),
        .testTarget(
            name: "StorageTests", dependencies: ["ApusStorage", "ApusKernels", "ApusTestKit"],
            path: "Tests/Storage", exclude: ["Golden/1", "Golden/2"], swiftSettings: strict),
        .testTarget(
            name: "IngestTests", dependencies: ["ApusIngest", "ApusStorage", "ApusTestKit"],
            path: "Tests/Ingest", exclude: ["Corpus"], swiftSettings: strict),
        .testTarget(
            name: "QueryTests", dependencies: ["ApusQuery", "ApusStorage", "Apus", "ApusTestKit"],
            path: "Tests/Query", exclude: ["Scripts"], swiftSettings: strict),
        .testTarget(
            name: "ApusTests", dependencies: ["Apus", "ApusQuery", "ApusStorage", "ApusTestKit"],
            path: "Tests/Apus", swiftSettings: strict),
        // Without our settings and other modules: a program as an embedder writes it.
        .testTarget(name: "EmbeddingTests", dependencies: ["Apus"], path: "Tests/Embedding"),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "ApusServer", "Apus", "ApusStorage", "ApusIngest", "ApusQuery", "ApusTestKit",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Server", swiftSettings: strict),
        .testTarget(
            name: "ConfigurationTests",
            dependencies: [
                "ApusConfiguration", "Apus", "ApusServer", "ApusStorage",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Configuration", swiftSettings: strict),
        // Runs the real binary: writes, kills it, starts it again, compares.
        .testTarget(
            name: "EndToEndTests", dependencies: ["ApusStorage", "ApusTestKit"],
            path: "Tests/EndToEnd", exclude: ["preload"], swiftSettings: strict),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["ApusStorage", "ApusIngest", "Apus", "ApusTestKit"],
            path: "Tests/Simulation", swiftSettings: strict),
        .testTarget(
            name: "ToolsTests",
            dependencies: [
                "ApusTools", "ApusClient", "Apus", "ApusIngest", "ApusQuery", "ApusStorage",
                "ApusTestKit",
                "CZlib", "CZstd",
            ],
            path: "Tests/Tools", swiftSettings: strict),
        .testTarget(
            name: "CollectTests", dependencies: ["ApusCollect", "ApusClient", "ApusTestKit"],
            path: "Tests/Collect", swiftSettings: strict),
        // What the micro-benchmarks do. The tests run it at small size, `make bench` at full size.
        .target(
            name: "ApusBenchmarkCases",
            dependencies: ["ApusStorage", "ApusKernels", "ApusIngest", "ApusQuery", "ApusTestKit"],
            path: "Benchmarks/Cases", swiftSettings: strict),
        .testTarget(
            name: "BenchmarkTests", dependencies: ["ApusBenchmarkCases"],
            path: "Tests/Benchmarks", swiftSettings: strict),
        .testTarget(
            name: "HouseTests", dependencies: [],
            path: "Tests/House", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

// Built only when asked for: the make targets of the benchmarks set APUS_BENCH.
if Context.environment["APUS_BENCH"] != nil {
    package.dependencies += [
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        // Without its traits, which count allocations by libraries that are loaded first.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ]
    package.targets.append(
        .executableTarget(
            name: "apus-micro",
            dependencies: [
                "ApusBenchmarkCases", .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "Benchmarks/Micro", swiftSettings: strict))
    package.targets.append(
        .executableTarget(
            name: "apus-bench",
            dependencies: [
                "CZlib",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Benchmarks/Workload"))
}
