// `/metrics` in Prometheus' text format.

internal import Apus
internal import ApusQuery
internal import ApusStorage
internal import Glibc

enum MetricsText {
    static func render(_ server: ServerContext, _ store: Store) -> String {
        var page = Page()
        engine(&page, store.engine.metrics())
        page.gauge(
            "apus_queries_running", "Statements that are being executed",
            store.queries.runningCount)
        let values = server.counters.values
        page.counter(
            "apus_slow_queries_total", "Statements that took longer than --slow-query",
            values.slowQueries)
        requests(&page, values)
        page.counter(
            "apus_udp_kernel_drops_total", "Datagrams the kernel dropped for want of buffer space",
            KernelDrops.count(ports: server.udpPorts))
        return page.text
    }

    private static func engine(_ page: inout Page, _ metrics: StorageMetrics) {
        page.gauge(
            "apus_background_idle", "1 when nothing waits for flush or merge",
            metrics.isBackgroundIdle ? 1 : 0)
        page.counter("apus_rows_stored_total", "Rows stored", metrics.rowsStored)
        page.counter("apus_values_stored_total", "Values stored", metrics.valuesStored)
        page.counter("apus_batches_stored_total", "Write batches stored", metrics.batchesStored)
        page.counter(
            "apus_engine_lines_rejected_total", "Lines the engine refused", metrics.linesRejected)
        page.counter("apus_log_bytes_total", "Bytes written to the log", metrics.logBytesWritten)
        page.counter("apus_log_syncs_total", "Syncs of the log", metrics.logSyncs.count)
        page.seconds(
            "apus_log_sync_seconds_total", "Time spent in syncs of the log",
            metrics.logSyncs.sumNanoseconds)
        page.histogram(
            "apus_log_sync_duration_seconds", "Writes of log groups with their sync",
            metrics.logSyncs)
        page.gauge("apus_head_bytes", "Memory of the active head", metrics.headBytes)
        page.gauge(
            "apus_frozen_head_bytes", "Memory of heads that wait to be flushed",
            metrics.frozenHeadBytes)
        page.gauge(
            "apus_spare_head_bytes", "Memory that flushed heads left for the next",
            metrics.spareHeadBytes)
        page.counter("apus_flushes_total", "Heads written to segments", metrics.flushes.count)
        page.seconds(
            "apus_flush_seconds_total", "Time spent flushing", metrics.flushes.sumNanoseconds)
        page.histogram(
            "apus_flush_duration_seconds", "Flushes of heads to segments", metrics.flushes)
        page.counter("apus_compactions_total", "Merges of segments", metrics.compactions.count)
        page.seconds(
            "apus_compaction_seconds_total", "Time spent merging",
            metrics.compactions.sumNanoseconds)
        page.histogram(
            "apus_compaction_duration_seconds", "Merges of segments", metrics.compactions)
        page.gauge("apus_segments", "Segments that hold the data", metrics.segmentCount)
        page.gauge("apus_segment_bytes", "Bytes of these segments", metrics.segmentBytes)
        page.gauge("apus_series", "Series", metrics.seriesCount)
        page.gauge("apus_tables", "Tables", metrics.tableCount)
        page.gauge("apus_databases", "Databases", metrics.databases.count)
        page.family("apus_database_tables", "gauge", "Tables of each database")
        for database in metrics.databases {
            page.sample(
                "apus_database_tables", #"database="\#(Page.escaped(database.name))""#,
                database.tableCount)
        }
        page.family("apus_database_series", "gauge", "Series of each database")
        for database in metrics.databases {
            page.sample(
                "apus_database_series", #"database="\#(Page.escaped(database.name))""#,
                database.seriesCount)
        }
        page.gauge(
            "apus_visible_sequence", "Sequence up to which writes are visible",
            Int(clamping: metrics.visibleSequence))
    }

    private static func requests(_ page: inout Page, _ values: ServerCounters.Values) {
        page.family("apus_http_requests_total", "counter", "Requests answered")
        for (key, count) in values.tables.requests.sorted(by: {
            ($0.key.endpoint.rawValue, $0.key.status) < ($1.key.endpoint.rawValue, $1.key.status)
        }) {
            page.sample(
                "apus_http_requests_total",
                #"endpoint="\#(key.endpoint.rawValue)",status="\#(key.status)""#, count)
        }
        page.family("apus_lines_rejected_total", "counter", "Lines refused, wholly or in part")
        for (reason, count) in values.tables.rejectedLines.sorted(by: { $0.key < $1.key }) {
            page.sample("apus_lines_rejected_total", #"reason="\#(reason)""#, count)
        }
        page.family(
            "apus_table_lines_rejected_total", "counter", "The same of lines whose table is known")
        for (key, count) in values.tables.rejectedByTable.sorted(by: {
            ($0.key.database, $0.key.table, $0.key.reason)
                < ($1.key.database, $1.key.table, $1.key.reason)
        }) {
            page.sample(
                "apus_table_lines_rejected_total",
                #"database="\#(Page.escaped(key.database))",table="\#(Page.escaped(key.table))","#
                    + #"reason="\#(key.reason)""#, count)
        }
        page.family("apus_connections", "gauge", "Open connections")
        for listener in ServerCounters.Listener.allCases {
            page.sample(
                "apus_connections", #"listener="\#(listener.rawValue)""#,
                values.tables.connections[listener] ?? 0)
        }
        page.family("apus_connections_total", "counter", "Connections accepted")
        for listener in ServerCounters.Listener.allCases {
            page.sample(
                "apus_connections_total", #"listener="\#(listener.rawValue)""#,
                values.tables.connectionsTotal[listener] ?? 0)
        }
        page.family(
            "apus_received_bytes_total", "counter", "Bytes of bodies, streams and datagrams")
        for (listener, count) in values.bytes {
            page.sample("apus_received_bytes_total", #"listener="\#(listener.rawValue)""#, count)
        }
        page.gauge(
            "apus_receiving_bytes", "Memory of write bodies under way", values.receivingBytes)
        page.counter("apus_udp_datagrams_total", "Datagrams received", values.datagrams)
        page.counter(
            "apus_senders_refused_total", "Connections and datagrams from outside --allow",
            values.sendersRefused)
        page.counter(
            "apus_line_tail_bytes_discarded_total",
            "Bytes after the last newline of closed streams", values.discardedTailBytes)
        page.counter(
            "apus_line_batches_retried_total", "Batches of lines that had to wait",
            values.batchesRetried)
    }

    private struct Page {
        private let writer = TextWriter(capacity: 8_192)

        var text: String { writer.string }

        mutating func family(_ name: String, _ type: String, _ help: String) {
            writer.text("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n")
        }

        mutating func sample(_ name: String, _ labels: String, _ value: Int) {
            writer.text(labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n")
        }

        mutating func counter(_ name: String, _ help: String, _ value: Int) {
            family(name, "counter", help)
            sample(name, "", value)
        }

        mutating func gauge(_ name: String, _ help: String, _ value: Int) {
            family(name, "gauge", help)
            sample(name, "", value)
        }

        /// Buckets in seconds.
        mutating func histogram(_ name: String, _ help: String, _ durations: DurationCounts) {
            family(name, "histogram", help)
            var total = 0
            for (bound, count) in zip(DurationCounts.boundsNanoseconds, durations.counts) {
                total += count
                sample("\(name)_bucket", #"le="\#(Double(bound) / 1e9)""#, total)
            }
            sample("\(name)_bucket", #"le="+Inf""#, durations.count)
            writer.text("\(name)_sum \(Double(durations.sumNanoseconds) / 1e9)\n")
            sample("\(name)_count", "", durations.count)
        }

        /// A name as the text format quotes it.
        static func escaped(_ text: String) -> String {
            text.contains { $0 == "\\" || $0 == "\"" || $0 == "\n" }
                ? text.map {
                    $0 == "\n" ? "\\n" : $0 == "\\" || $0 == "\"" ? "\\\($0)" : String($0)
                }.joined() : text
        }

        mutating func seconds(_ name: String, _ help: String, _ nanoseconds: Int) {
            family(name, "counter", help)
            writer.text("\(name) \(Double(nanoseconds) / 1e9)\n")
        }
    }
}

/// What `/proc/net/udp` says was dropped at our ports: the last column, by the port in the second.
enum KernelDrops {
    static func count(ports: [Int]) -> Int {
        guard !ports.isEmpty else { return 0 }
        return ["/proc/net/udp", "/proc/net/udp6"].reduce(0) { $0 + count(read($1), ports) }
    }

    static func count(_ table: String, _ ports: [Int]) -> Int {
        var drops = 0
        for line in table.split(separator: "\n").dropFirst() {
            let words = line.split(separator: " ")
            guard words.count >= 13, let colon = words[1].lastIndex(of: ":"),
                let port = Int(words[1][words[1].index(after: colon)...], radix: 16),
                ports.contains(port)
            else { continue }
            drops += Int(words[words.count - 1]) ?? 0
        }
        return drops
    }

    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "re") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < 4 << 20 {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
