// An import from its inputs to its report: one reader, a bounded queue, a few that store.
//
//     inputs ──▶ BodyReader ──▶ BodyQueue ──▶ ServerConsumer × connections
//                                        └──▶ EngineConsumer × 2  (a directory, or nothing)
//
// Order. Into a directory, lines are stored in the order of the input. Over several connections two
// bodies that are under way at once may overtake each other.

package import ApusClient
package import Apus
internal import ApusIngest
internal import ApusKernels
internal import ApusStorage
internal import Synchronization

/// What an import shall do.
package struct ImportOptions: Sendable {
    package enum Target: Sendable {
        case server(ServerAddress, connectionCount: Int)
        case directory(String, StoreOptions)
        /// Looks at the lines and stores nothing.
        case nowhere
    }

    package var inputs: [String]
    package var target: Target
    package var reading = LineReading()

    package init(inputs: [String], target: Target) {
        self.inputs = inputs
        self.target = target
    }
}

/// What became of it.
package struct ImportReport: Sendable {
    package var counts: ImportCounts
    package var seconds: Double
    package var failure: TransferFailure?

    /// 0 if every line was stored, 1 if some were rejected, else the failure's.
    package var exitCode: Int32 {
        failure?.exitCode ?? (counts.rejected > 0 ? 1 : 0)
    }
}

package enum ImportRun {
    private static let parserThreadCount = 2
    /// Enough for the reader to go on while a server syncs its log; 16 MiB.
    private static let queuedBodiesMax = 8
    private static let progressMilliseconds = 100

    /// Runs an import on the calling thread and some of its own.
    ///
    /// - Parameter progress: called some ten times a second, from another thread; nil to spare that.
    package static func run(
        _ options: ImportOptions,
        progress: (@Sendable (ImportCounts, _ inputByteCount: Int?, _ seconds: Double) -> Void)?
    ) -> ImportReport {
        let begun = monotonicNanoseconds()
        let tally = ImportTally()
        // Every body is an array of its own.
        apus_keep_freed_memory()
        do throws(TransferFailure) {
            let inputByteCount = try byteCount(of: options.inputs)
            let ticker = progress.map { progress in
                Ticker(everyMilliseconds: progressMilliseconds) {
                    progress(tally.counts, inputByteCount, seconds(since: begun))
                }
            }
            defer { ticker?.end() }
            try move(options, tally)
        } catch {
            tally.fail(error)
        }
        return ImportReport(
            counts: tally.counts, seconds: seconds(since: begun), failure: tally.failure)
    }

    private static func seconds(since begun: Int64) -> Double {
        Double(monotonicNanoseconds() - begun) / 1e9
    }

    /// Looks at all inputs before anything is stored. Nil if one is no regular file.
    private static func byteCount(of inputs: [String]) throws(TransferFailure) -> Int? {
        var sum: Int? = 0
        do throws(InputFault) {
            for path in inputs {
                let count = try Inputs.byteCount(of: path)
                sum = count.flatMap { count in sum.map { $0 + count } }
            }
        } catch {
            throw failure(error)
        }
        return sum
    }

    private static func failure(_ fault: InputFault) -> TransferFailure {
        let code =
            switch fault.kind {
            case .missing: ExitCodes.noInput
            case .broken: ExitCodes.format
            case .inputOutput: ExitCodes.inputOutput
            }
        return TransferFailure(exitCode: code, fault.description)
    }

    private static func move(
        _ options: ImportOptions, _ tally: ImportTally
    ) throws(TransferFailure) {
        let reading = options.reading
        switch options.target {
        case .server(let address, let connectionCount):
            let queue = BodyQueue(bodiesMax: queuedBodiesMax)
            feed(options.inputs, queue, tally, consumerCount: connectionCount, isStoring: true) {
                var consumer = ServerConsumer(address, reading, queue, tally)
                consumer.run()
            }
        case .directory(let path, let storeOptions):
            let store = try StoreDirectory.open(path, create: true, options: storeOptions)
            feedBatches(options, store.engine, tally, isStoring: true)
            try StoreDirectory.close(store)
        case .nowhere:
            feedBatches(options, BatchValidation(), tally, isStoring: false)
        }
    }

    private static func feedBatches(
        _ options: ImportOptions, _ store: any BatchStore, _ tally: ImportTally, isStoring: Bool
    ) {
        let queue = BodyQueue(bodiesMax: 2)
        let reading = options.reading
        feed(
            options.inputs, queue, tally, consumerCount: parserThreadCount, isStoring: isStoring
        ) {
            var consumer = EngineConsumer(store, reading, queue, tally)
            consumer.run()
        }
    }

    /// Starts the consumers, reads everything on this thread, and waits for them.
    private static func feed(
        _ inputs: [String], _ queue: BodyQueue, _ tally: ImportTally, consumerCount: Int,
        isStoring: Bool, _ consumer: @escaping @Sendable () -> Void
    ) {
        let pool = WorkerPool(
            name: "apus-import", threadCount: consumerCount, queuedJobsMax: consumerCount)
        for _ in 0..<consumerCount where !pool.submit(consumer) {
            tally.fail(
                TransferFailure(exitCode: ExitCodes.inputOutput, "no thread could be started"))
            queue.abort()
        }
        do throws(InputFault) {
            for (index, path) in inputs.enumerated() where !tally.isStopping {
                try read(path, index, queue, tally)
            }
            queue.finish()
        } catch {
            // What was read whole before is stored all the same.
            queue.finish()
            pool.stop()
            let failure = failure(error)
            let text = ImportText.brokenOff(
                failure.description, counts: tally.counts, isStoring: isStoring)
            tally.fail(TransferFailure(exitCode: failure.exitCode, text))
        }
        pool.stop()
    }

    private static func read(
        _ path: String, _ index: Int, _ queue: BodyQueue, _ tally: ImportTally
    ) throws(InputFault) {
        var reader = BodyReader(try Inputs.open(path), inputIndex: index)
        while let piece = try reader.next() {
            switch piece {
            case .body(let body): if !queue.push(body) { return }
            case .longLine(let line):
                tally.addLongLine(
                    inputIndex: index, line: line, bytesMax: LineBoundary().lineBytesMax)
            }
        }
    }
}
