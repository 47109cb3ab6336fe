// `devops`: nine measurements a host, with fields like those of the public TSBS use case.

struct Devops {
    var hostCount: Int
    var tickCount: Int
    var startNanoseconds: Int64
    var tickNanoseconds: Int64 = 10_000_000_000

    private static let gigabyte = 1_073_741_824.0

    /// A measurement and the tags it has besides the host's.
    private static let measurements: [(writer: MeasurementWriter, tags: String)] = [
        (MeasurementWriter("cpu", CPUOnly.fieldNames.map { .walk($0) }), ""),
        (
            MeasurementWriter(
                "diskio",
                [
                    .counter("reads", mean: 50), .counter("writes", mean: 50),
                    .counter("read_bytes", mean: 100), .counter("write_bytes", mean: 100),
                    .counter("read_time", mean: 5), .counter("write_time", mean: 5),
                    .counter("io_time", mean: 5),
                ]), ",serial=694-511-162"
        ),
        (
            MeasurementWriter(
                "disk",
                [
                    .constant("total", (1024 * gigabyte)...(1024 * gigabyte)),
                    .walk("free", 0...(1024 * gigabyte), step: 40_960),
                    .walk("used", 0...(1024 * gigabyte), step: 40_960), .walk("used_percent"),
                    .constant("inodes_total", 268_435_456...268_435_456),
                    .walk("inodes_free", 0...268_435_456, step: 100),
                    .walk("inodes_used", 0...268_435_456, step: 100),
                ]), ",path=/dev/sda1,fstype=ext4"
        ),
        (
            MeasurementWriter(
                "kernel",
                [
                    .constant("boot_time", 1_750_000_000...1_760_000_000),
                    .counter("interrupts", mean: 5), .counter("context_switches", mean: 5),
                    .counter("processes_forked", mean: 5), .counter("disk_pages_in", mean: 5),
                    .counter("disk_pages_out", mean: 5),
                ]), ""
        ),
        (
            MeasurementWriter(
                "mem",
                [
                    .constant("total", (12 * gigabyte)...(12 * gigabyte)),
                    .walk("available", 0...(12 * gigabyte), step: gigabyte / 64),
                    .walk("used", 0...(12 * gigabyte), step: gigabyte / 64),
                    .walk("free", 0...(12 * gigabyte), step: gigabyte / 64),
                    .walk("cached", 0...(12 * gigabyte), step: gigabyte / 64),
                    .walk("buffered", 0...(12 * gigabyte), step: gigabyte / 64),
                    .walk("used_percent", decimals: 2), .walk("available_percent", decimals: 2),
                    .walk("buffered_percent", decimals: 2),
                ]), ""
        ),
        (
            MeasurementWriter(
                "net",
                [
                    .counter("bytes_sent", mean: 50), .counter("bytes_recv", mean: 50),
                    .counter("packets_sent", mean: 50), .counter("packets_recv", mean: 50),
                    .counter("err_in", mean: 5), .counter("err_out", mean: 5),
                    .counter("drop_in", mean: 5), .counter("drop_out", mean: 5),
                ]), ",interface=eth0"
        ),
        (
            MeasurementWriter(
                "nginx",
                [
                    .counter("accepts", mean: 5), .walk("active"), .counter("handled", mean: 5),
                    .walk("reading"), .counter("requests", mean: 5), .walk("waiting"),
                    .walk("writing"),
                ]), ",port=8080,server=nginx_1"
        ),
        (
            MeasurementWriter(
                "postgresl",
                [
                    "numbackends", "xact_commit", "xact_rollback", "blks_read", "blks_hit",
                    "tup_returned", "tup_fetched", "tup_inserted", "tup_updated", "tup_deleted",
                    "conflicts", "temp_files", "temp_bytes", "deadlocks", "blk_read_time",
                    "blk_write_time",
                ].map { $0 == "temp_bytes" ? .walk($0, 0...1e9, step: 1e5) : .walk($0, 0...1000) }),
            ""
        ),
        (
            MeasurementWriter(
                "redis",
                [
                    "total_connections_received", "expired_keys", "evicted_keys", "keyspace_hits",
                    "keyspace_misses",
                ].map { .counter($0, mean: 50) }
                    + [
                        "instantaneous_ops_per_sec", "instantaneous_input_kbps",
                        "instantaneous_output_kbps", "connected_clients",
                    ].map { .walk($0) }
                    + ["used_memory", "used_memory_rss", "used_memory_peak", "used_memory_lua"]
                    .map { .walk($0, 0...(16 * gigabyte), step: 1e6) }
                    + [
                        "rdb_changes_since_last_save", "sync_full", "sync_partial_ok",
                        "sync_partial_err", "pubsub_channels", "pubsub_patterns",
                        "latest_fork_usec", "connected_slaves", "master_repl_offset",
                        "repl_backlog_active", "repl_backlog_size", "repl_backlog_histlen",
                        "mem_fragmentation_ratio", "used_cpu_sys", "used_cpu_user",
                    ].map { .walk($0, 0...1000) }), ",port=6379,server=redis_1"
        ),
    ]

    func write(to file: LineFile, _ random: inout WorkloadRandom) throws {
        let hosts = (0..<hostCount).map { HostTags.text(host: $0, &random) }
        var prefixes: [[[UInt8]]] = []
        var values: [[Double]] = []
        for (writer, tags) in Self.measurements {
            prefixes.append(hosts.map { Array("\(writer.table),\($0)\(tags)".utf8) })
            values.append((0..<hostCount).flatMap { _ in writer.start(&random) })
        }
        for tick in 0..<tickCount {
            let time = startNanoseconds + Int64(tick) * tickNanoseconds
            for host in 0..<hostCount {
                for (index, measurement) in Self.measurements.enumerated() {
                    let writer = measurement.writer
                    let start = host * writer.fieldCount
                    try writer.write(
                        prefixes[index][host], &values[index][start..<start + writer.fieldCount],
                        time, to: file, &random)
                }
            }
        }
    }
}
