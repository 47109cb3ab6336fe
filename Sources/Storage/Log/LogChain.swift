/// The log files of a directory in order, and the rules that hold between them.
struct LogChain {
    struct File {
        var number: UInt64
        /// 0 if the header can't be read.
        var firstSequence: UInt64
        var problem: StorageError?
        /// Known once the file was read.
        var nextSequence: UInt64?
        var bytes: Int
    }

    var files: [File] = []

    /// Lists `log/` and reads every header. Names that are no log file's are left alone.
    ///
    /// - Throws: `io` only; damage is kept with the file.
    init(fileSystem: any FileSystem) throws(StorageError) {
        var numbers: [UInt64] = []
        for name in try fileSystem.list(LogNames.directory) {
            if let number = LogNames.number(ofName: name) { numbers.append(number) }
        }
        for number in numbers.sorted() {
            var file = File(number: number, firstSequence: 0, bytes: 0)
            do {
                let cursor = try LogFileCursor(fileSystem: fileSystem, number: number)
                file.firstSequence = cursor.header.firstSequence
                file.bytes = cursor.fileBytes
            } catch {
                switch error {
                case .corrupt, .unsupportedFormat: file.problem = error
                default: throw error
                }
            }
            files.append(file)
        }
    }

    var firstUnsupported: StorageError? {
        for file in files {
            if case .unsupportedFormat? = file.problem { return file.problem }
        }
        return nil
    }

    func nextFileNumber(cleanEnd: LogPosition?) -> UInt64 {
        // Never the number of a clean end: no record may come where MANIFEST says the log ended.
        max(files.last?.number ?? 0, cleanEnd?.fileNumber ?? 0) &+ 1
    }

    /// The next file's first sequence; nil if there is none or its header can't be read.
    func limit(_ index: Int) -> UInt64? {
        guard index + 1 < files.count, files[index + 1].problem == nil else { return nil }
        return files[index + 1].firstSequence
    }

    /// The newest file that begins at or below `flushedThrough + 1`: nothing before it is needed.
    ///
    /// - Returns: Its index; nil if there are no files and none is missing.
    func firstNeeded(
        flushedThrough: UInt64, cleanEnd: LogPosition?
    ) throws(StorageError) -> Int? {
        if let cleanEnd, cleanEnd.offset > UInt64(LogFileHeader.pageBytes),
            cleanEnd.fileNumber > files.last?.number ?? 0
        {
            throw .corrupt(
                file: LogNames.path(cleanEnd.fileNumber), offset: 0,
                reason: "the file is missing; the log was shut down cleanly in it")
        }
        guard let first = files.first else { return nil }
        let start = files.lastIndex {
            $0.problem == nil && $0.firstSequence <= flushedThrough &+ 1
        }
        if let start { return start }
        if let problem = first.problem { throw problem }
        throw .corrupt(
            file: LogNames.path(first.number &- 1), offset: 0,
            reason: "the file is missing; records \(flushedThrough &+ 1) to "
                + "\(first.firstSequence &- 1) were in it or before")
    }

    /// Checks that a file follows on the one before it.
    func checkLink(_ index: Int, start: Int, expected: UInt64) throws(StorageError) {
        let file = files[index]
        if let problem = file.problem { throw problem }
        guard index > start else { return }
        guard file.number == files[index - 1].number + 1 else {
            throw .corrupt(
                file: LogNames.path(files[index - 1].number + 1), offset: 0,
                reason: "the file is missing")
        }
        guard file.firstSequence == expected else {
            throw .corrupt(
                file: LogNames.path(file.number), offset: 24,
                reason: "begins with record \(file.firstSequence), \(expected) belongs there")
        }
    }

    func summaries() -> [LogFileSummary] {
        files.indices.map { index in
            let file = files[index]
            let next =
                file.nextSequence
                ?? files.dropFirst(index + 1).first { $0.problem == nil }?.firstSequence ?? 1
            return LogFileSummary(
                number: file.number, firstSequence: file.firstSequence,
                lastSequence: max(next, 1) - 1, bytes: file.bytes)
        }
    }
}

extension StorageError {
    struct Place: Hashable {
        var file: String
        var offset: UInt64
    }
}

extension LogProblem {
    var place: StorageError.Place { StorageError.Place(file: file, offset: offset) }

    /// Nil for errors that don't speak of bytes.
    init?(_ error: StorageError) {
        switch error {
        case .corrupt(let file, let offset, let reason):
            self.init(file: file, offset: offset, what: reason, isDamage: true)
        case .unsupportedFormat(let file, _, _):
            self.init(file: file, offset: 0, what: "\(error)", isDamage: true)
        default: return nil
        }
    }
}
