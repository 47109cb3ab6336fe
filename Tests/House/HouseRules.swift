// The rules in one place: the layers, and where unsafe code may live.

enum HouseRules {
    static let lineCountMax = 500
    static let bannedTypeNameEndings = ["Manager", "Helper", "Helpers", "Utils", "Util"]

    /// What the files of a folder below Sources may import besides `systemModules`.
    ///
    /// Arrows run downwards only; Ingest and Query never import each other.
    static let importsAllowed: [String: Set<String>] = [
        "Kernels": [],
        "BuildCommit": [],
        "RegexShim": [],
        "Storage": ["ApusKernels", "CZstd", "CLZ4"],
        "Ingest": ["ApusStorage", "ApusKernels"],
        "Query": ["ApusStorage", "ApusKernels", "ApusRegexShim"],
        "Apus": ["ApusStorage", "ApusIngest", "ApusQuery", "ApusKernels"],
        "Server": [
            "Apus", "ApusStorage", "ApusIngest", "ApusQuery", "ApusKernels", "CZlib",
            "NIOCore", "NIOPosix", "NIOHTTP1", "Logging", "Foundation", "Dispatch",
        ],
        "Configuration": ["Apus", "ApusServer", "ApusStorage", "Logging"],
        "Client": [],
        "Collect": ["ApusClient"],
        "Tools": [
            "Apus", "ApusStorage", "ApusIngest", "ApusQuery", "ApusKernels", "ApusClient", "CIsal",
            "CZlib", "CZstd", "Dispatch",
        ],
        "Command": [
            "Apus", "ApusBuildCommit", "ApusServer", "ApusStorage", "ApusIngest", "ApusCollect",
            "ApusClient", "ApusTools", "ApusConfiguration", "ArgumentParser", "Logging",
            "Foundation", "FoundationEssentials", "Dispatch",
        ],
    ]

    static let systemModules: Set<String> = ["Swift", "Glibc", "Musl", "Synchronization"]

    /// Paths, or starts of paths, below Sources in which unsafe code is at home.
    static let unsafePlaces = [
        "Storage/Bytes/", "Storage/Codec/", "Storage/File/", "Storage/Log/", "Storage/Catalog/",
        "Storage/Head/", "Storage/Segment/", "Storage/Engine/", "Storage/Model/",
        "Storage/Inspect/", "Tools/Inspect/HexText",
        "Ingest/", "Query/Operator/", "Query/Pattern/", "Query/Plan/SeriesPredicate",
        "Server/HTTP/", "Server/Line/", "Server/Write/", "Query/Result/",
        "Server/Auth/NetworkAddress", "Client/Socket", "Collect/Sender",
        "Tools/Import/", "Tools/Export/", "Tools/Interruption", "Apus/Store", "Apus/WorkerPool",
        "Command/ServeSignals",
        "Command/ServiceNotice", "Command/Failure", "Query/Plan/BinderTime",
    ]

    /// Words that take the compiler's guarantees away.
    static let unsafeWords = [
        "Unsafe", "withUnsafe", "unsafeBitCast", "unsafeUninitializedCapacity", "Unmanaged",
        "nonisolated(unsafe)",
    ]
}
