// All settings of `apus serve`, in the order in which help and documentation show them.

extension Setting {
    package static let all = [
        data, http, lineTCP, lineUDP, durability, memory, tokenFile, allow, allowHost,
        allowUnauthenticated, createOnWrite, retention, acceptFuture, coldAfter,
        maxSeriesPerTable, maxSeriesPerDatabase, maxValuesPerTag, slowQuery, logLevel, config,
        checkConfig,
    ]

    package static let data = Setting(
        "data", valueName: "dir", default: "./apus-data", "The data directory.",
        notes:
            "Made if it is missing. One process at a time; a second one says who holds it and exits with 75.",
        example: #""/var/lib/apus""#)

    package static let http = Setting(
        "http", valueName: "host:port", default: "127.0.0.1:8086",
        "Where HTTP listens, or off.", notes: "Port `0` takes a free one.",
        example: #""0.0.0.0:8086""#)

    package static let lineTCP = Setting(
        "line-tcp", valueName: "host:port", default: "127.0.0.1:8094",
        "Where line protocol over TCP listens, or off; ?db=NAME&precision=UNIT may follow.",
        notes: "Newline after each line, no answers.", example: #""127.0.0.1:8094?db=hosts""#)

    package static let lineUDP = Setting(
        "line-udp", valueName: "host:port", default: "127.0.0.1:8089",
        "Where line protocol over UDP listens, or off; ?db=NAME&precision=UNIT may follow.",
        notes: "The end of a datagram ends its last line.", example: #""off""#)

    package static let durability = Setting(
        "durability", valueName: "mode", default: "always",
        "When a write is acknowledged: always (synced), interval[:ms], none.",
        notes:
            "`interval` is 100 ms; `interval:250` or `interval:250ms` may be 1 ms to an hour. [What they promise](../README.md#durability-in-plain-words).",
        example: #""interval:250""#)

    package static let memory = Setting(
        "memory", .quantity, valueName: "size", default: "a quarter of RAM, at most 4GiB",
        "Memory for heads, caches and queries: 512MiB, 2GiB, 25%.",
        notes:
            "At least 32 MiB. [What it bounds](operations.md#memory). RAM is the machine's, or the control group's limit where that is lower.",
        example: #""2GiB""#)

    package static let tokenFile = Setting(
        "token-file", valueName: "file", default: nil,
        "A file of tokens, one a line: TOKEN read,write,admin [database,…].",
        notes: "[See below](#the-token-file).", example: #""/etc/apus/tokens""#, isReloaded: true)

    package static let allow = Setting(
        "allow", .list, valueName: "cidr", default: nil,
        "Senders that TCP and UDP take lines from; may be repeated.",
        notes: "Others are dropped and counted.", example: #"["192.0.2.0/24", "::1"]"#)

    package static let allowHost = Setting(
        "allow-host", .list, valueName: "name", default: nil,
        "A name that requests may call this server; may be repeated.",
        notes: "Addresses, `localhost` and the machine's own name need none.",
        example: #"["db.example"]"#)

    package static let allowUnauthenticated = Setting(
        "allow-unauthenticated", .boolean, default: "off",
        "Serve everyone who can reach the listeners.", example: "true")

    package static let createOnWrite = Setting(
        "create-on-write", .onOff, valueName: "on/off", default: "on",
        "Whether a write makes the database and the table it names.",
        notes:
            "With `off` a write into an unknown database gets 404, and lines of an unknown table are refused one by one.",
        example: "false")

    package static let retention = Setting(
        "retention", .quantity, valueName: "time", default: "for ever",
        "How long rows are kept in databases that a write makes: 90d.",
        notes: "`0` is for ever. `CREATE DATABASE` says its own, or keeps for ever.",
        example: #""90d""#)

    package static let acceptFuture = Setting(
        "accept-future", .quantity, valueName: "time", default: "1d",
        "Rows further ahead than this are refused line by line; 0 takes any.", example: #""1h""#)

    package static let coldAfter = Setting(
        "cold-after", .quantity, valueName: "time", default: "1h",
        "How long a partition gets no rows before it is encoded as small as it gets, or never.",
        notes: "`0` is at once; with `never` only `COMPACT` does it.", example: #""6h""#)

    package static let maxSeriesPerTable = Setting(
        "max-series-per-table", .quantity, valueName: "count", default: "20000000",
        "Rows of further series are refused line by line.",
        notes: "Series that are there go on being written.", example: "1_000_000")

    package static let maxSeriesPerDatabase = Setting(
        "max-series-per-database", .quantity, valueName: "count", default: "100000000",
        "The same for all tables of a database.", example: "5_000_000")

    package static let maxValuesPerTag = Setting(
        "max-values-per-tag", .quantity, valueName: "count", default: "20000000",
        "The same for the distinct values of one tag of a table.",
        notes: "Below the series of a table it stops a tag that is a request's number.",
        example: "1_000_000")

    package static let slowQuery = Setting(
        "slow-query", .quantity, valueName: "time", default: "5s",
        "Statements of /sql that take longer are logged and counted; off logs none.",
        notes: "`0` is off. [What the line says](operations.md#slow-statements).",
        example: #""500ms""#)

    package static let logLevel = Setting(
        "log-level", valueName: "level", default: "info",
        "trace, debug, info, notice, warning or error.",
        notes: "The log goes to standard error.", example: #""warning""#, isReloaded: true)

    package static let config = Setting(
        "config", valueName: "file", default: nil, "A configuration file.",
        notes: "[See below](#the-configuration-file).", places: [.flag, .environment])

    package static let checkConfig = Setting(
        "check-config", .boolean, default: "off",
        "Check flags, environment and file, print what holds and where it comes from, and exit.",
        places: .flag)
}
