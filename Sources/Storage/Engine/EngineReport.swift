// What the engine says about itself: metrics and health.

internal import Synchronization

extension StorageEngine {
    package func metrics() -> StorageMetrics {
        var metrics = StorageMetrics()
        let counters = shared.counters
        metrics.rowsStored = counters.rows.load(ordering: .relaxed)
        metrics.valuesStored = counters.values.load(ordering: .relaxed)
        metrics.batchesStored = counters.batches.load(ordering: .relaxed)
        metrics.linesRejected = counters.rejected.load(ordering: .relaxed)
        metrics.logBytesWritten = counters.logBytes.load(ordering: .relaxed)
        metrics.logSyncs = counters.logSyncs.counts
        metrics.flushes = counters.flushes.counts
        metrics.compactions = counters.compactions.counts
        metrics.spareHeadBytes = shared.chunkMemory.freeBytes
        let segments = shared.published.withLock { published in
            metrics.headBytes = published.active.byteCount
            metrics.frozenHeadBytes = published.frozen.reduce(0) { $0 + $1.head.byteCount }
            metrics.visibleSequence = published.visibleSequence
            metrics.isBackgroundIdle = published.frozen.isEmpty
            return published.version.segments
        }
        metrics.segmentCount = segments.count
        metrics.segmentBytes = segments.reduce(0) { $0 + $1.entry.byteCount }
        metrics.isBackgroundIdle =
            metrics.isBackgroundIdle && shared.maintenance.isEmpty
            && CompactionPolicy.choose(segments, fanIn: options.compactionFanIn) == nil
        for database in catalog.allDatabases {
            let tables = database.allTables
            let seriesCount = tables.reduce(0) { $0 + $1.livingSeriesCount }
            metrics.databases.append(
                DatabaseMetrics(
                    name: database.name, tableCount: tables.count, seriesCount: seriesCount))
            metrics.tableCount += tables.count
            metrics.seriesCount += seriesCount
        }
        return metrics
    }

    package func health() -> StorageHealth {
        let state = shared.state.withLock { $0 }
        let damaged = shared.published.withLock { $0.version.damaged.map(\.entry.path) }
        if state.isClosed {
            return StorageHealth(status: .fail, message: "closed", damagedFiles: damaged)
        }
        if let reason = state.readOnlyReason {
            return StorageHealth(
                status: .fail, message: "read-only: \(reason)", damagedFiles: damaged)
        }
        if let failure = state.maintenanceFailure {
            return StorageHealth(
                status: .warn, message: "background work fails: \(failure)", damagedFiles: damaged)
        }
        if state.isRetentionPaused {
            return StorageHealth(
                status: .warn,
                message: "the clock jumped by more than an hour: retention is paused",
                damagedFiles: damaged)
        }
        if !damaged.isEmpty {
            return StorageHealth(
                status: .warn,
                message: "damaged files are set aside: \(damaged.joined(separator: ", "))",
                damagedFiles: damaged)
        }
        return StorageHealth(status: .pass, message: "ready for queries and writes")
    }
}
