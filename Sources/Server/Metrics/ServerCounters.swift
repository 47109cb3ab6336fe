// What the server counts for `/metrics`, next to what the engine counts.

internal import ApusStorage
internal import Synchronization

/// Thread-safe. Hot counters are atomics, the rest a mutex per request.
final class ServerCounters: Sendable {
    enum Listener: String, Sendable, CaseIterable, Hashable {
        case http
        case lineTCP = "line-tcp"
        case lineUDP = "line-udp"
    }

    struct RequestKey: Hashable, Sendable {
        var endpoint: Endpoint
        var status: Int
    }

    struct TableRejection: Hashable, Sendable {
        var database: String
        var table: String
        var reason: String
    }

    struct Tables: Sendable {
        /// At most `rejectedTablesMax`: names come from whoever writes.
        var rejectedByTable: [TableRejection: Int] = [:]
        var requests: [RequestKey: Int] = [:]
        var rejectedLines: [String: Int] = [:]
        var connections: [Listener: Int] = [:]
        var connectionsTotal: [Listener: Int] = [:]
    }

    private static let rejectedTablesMax = 1_000

    private let tables = Mutex(Tables())
    private let httpBytes = Atomic<Int>(0)
    private let tcpBytes = Atomic<Int>(0)
    private let udpBytes = Atomic<Int>(0)
    private let receiving = Atomic<Int>(0)
    private let datagrams = Atomic<Int>(0)
    private let sendersRefused = Atomic<Int>(0)
    private let discardedTail = Atomic<Int>(0)
    private let batchesRetried = Atomic<Int>(0)
    private let slowQueries = Atomic<Int>(0)

    func count(_ endpoint: Endpoint, status: Int) {
        tables.withLock {
            $0.requests[RequestKey(endpoint: endpoint, status: status), default: 0] += 1
        }
    }

    /// Counts refused lines. Reasons are known for the first of a batch; the rest count with the
    /// last of these.
    func count(rejected: Int, _ rejections: [LineRejection]) {
        guard rejected > 0 else { return }
        tables.withLock { tables in
            for rejection in rejections {
                tables.rejectedLines[Self.reason(rejection.kind), default: 0] += 1
            }
            let rest = rejected - rejections.count
            guard rest > 0 else { return }
            tables.rejectedLines[
                rejections.last.map { Self.reason($0.kind) } ?? "malformed", default: 0] += rest
        }
    }

    /// Counts those of a batch whose table is known, too.
    func count(rejected: Int, _ rejections: [LineRejection], of batch: WriteBatch) {
        count(rejected: rejected, rejections)
        guard !batch.rejectedByTable.isEmpty else { return }
        tables.withLock { tables in
            for (key, count) in batch.rejectedByTable {
                let place = TableRejection(
                    database: batch.database, table: key.table, reason: Self.reason(key.kind))
                guard
                    tables.rejectedByTable[place] != nil
                        || tables.rejectedByTable.count < Self.rejectedTablesMax
                else { continue }
                tables.rejectedByTable[place, default: 0] += count
            }
        }
    }

    private static func reason(_ kind: LineRejection.Kind) -> String {
        switch kind {
        case .malformed: "malformed"
        case .conflict: "conflict"
        case .retention: "retention"
        case .future: "future"
        case .limit: "limit"
        }
    }

    func connectionOpened(_ listener: Listener) {
        tables.withLock {
            $0.connections[listener, default: 0] += 1
            $0.connectionsTotal[listener, default: 0] += 1
        }
    }

    func connectionClosed(_ listener: Listener) {
        tables.withLock { $0.connections[listener, default: 0] -= 1 }
    }

    func add(bytesReceived count: Int, _ listener: Listener = .http) {
        switch listener {
        case .http: httpBytes.add(count, ordering: .relaxed)
        case .lineTCP: tcpBytes.add(count, ordering: .relaxed)
        case .lineUDP: udpBytes.add(count, ordering: .relaxed)
        }
    }

    /// Returns all bytes that bodies under way hold, with these.
    func reserve(receivingBytes count: Int) -> Int {
        receiving.add(count, ordering: .relaxed).newValue
    }

    func release(receivingBytes count: Int) { receiving.subtract(count, ordering: .relaxed) }

    func datagramReceived() { datagrams.add(1, ordering: .relaxed) }
    func senderRefused() { sendersRefused.add(1, ordering: .relaxed) }
    func slowQueryEnded() { slowQueries.add(1, ordering: .relaxed) }
    func batchRetried() { batchesRetried.add(1, ordering: .relaxed) }
    func add(discardedBytes count: Int) { discardedTail.add(count, ordering: .relaxed) }

    struct Values: Sendable {
        var tables: Tables
        var bytes: [(Listener, Int)]
        var receivingBytes: Int
        var datagrams: Int
        var sendersRefused: Int
        var discardedTailBytes: Int
        var batchesRetried: Int
        var slowQueries: Int
    }

    var values: Values {
        Values(
            tables: tables.withLock { $0 },
            bytes: [
                (.http, httpBytes.load(ordering: .relaxed)),
                (.lineTCP, tcpBytes.load(ordering: .relaxed)),
                (.lineUDP, udpBytes.load(ordering: .relaxed)),
            ],
            receivingBytes: receiving.load(ordering: .relaxed),
            datagrams: datagrams.load(ordering: .relaxed),
            sendersRefused: sendersRefused.load(ordering: .relaxed),
            discardedTailBytes: discardedTail.load(ordering: .relaxed),
            batchesRetried: batchesRetried.load(ordering: .relaxed),
            slowQueries: slowQueries.load(ordering: .relaxed))
    }
}
