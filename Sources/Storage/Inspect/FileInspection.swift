// What is inside one file of a store, for a person: kind, facts, lists, and of a segment its tables.
// Reads headers, footers, directories, a log's records and each table's first block. Needs no store
// around it.

internal import Glibc

package struct FileInspection: Sendable {
    package enum Kind: String, Sendable { case manifest, catalog, log, segment }

    package struct Fact: Sendable, Equatable {
        package var name: String
        package var value: Value

        package enum Value: Sendable, Equatable {
            case text(String)
            case number(UInt64)
            /// Nanoseconds since 1970 UTC.
            case time(Int64)
            case duration(Int64)
            case bytes(Int)
            case flag(Bool)
        }
    }

    /// Rows under headings.
    package struct Listing: Sendable {
        package var title: String
        package var headings: [String]
        package var rows: [[Fact.Value]] = []
        /// Rows that there are; more than `rows` where only the first are kept.
        package var rowCount = 0
        /// Rows kept of a listing that grows with the data.
        package static let rowsMax = 100_000

        init(_ title: String, _ headings: [String]) {
            self.title = title
            self.headings = headings
        }

        mutating func append(_ row: [Fact.Value]) {
            rowCount += 1
            if rows.count < Self.rowsMax { rows.append(row) }
        }
    }

    package var kind: Kind
    package var name: String
    package var byteCount: Int
    package var facts: [Fact] = []
    package var listings: [Listing] = []
    /// Of a segment.
    package var tables: [SegmentTableInspection] = []
    /// What isn't as it was written.
    package var findings: [IntegrityCheck.Finding] = []

    init(kind: Kind, name: String, byteCount: Int) {
        self.kind = kind
        self.name = name
        self.byteCount = byteCount
    }

    mutating func fact(_ name: String, _ value: Fact.Value) {
        facts.append(Fact(name: name, value: value))
    }

    mutating func take(_ error: StorageError) throws(StorageError) {
        guard case .corrupt(let file, let offset, let reason) = error else { throw error }
        findings.append(.init(file: file, offset: offset, what: reason))
    }

    /// What a file is by its first bytes, or else by its name.
    package static func kind(
        _ fileSystem: any FileSystem, _ name: String
    ) throws(StorageError) -> Kind? {
        let file = try fileSystem.open(name, create: false)
        let head = try file.readBytes(at: 0, count: 8)
        if head == Manifest.magic { return .manifest }
        if head == CatalogFile.magic { return .catalog }
        if head == LogFileHeader.magic { return .log }
        if head == Array("APUSSEG\n".utf8) { return .segment }
        // Damaged at its very beginning, it is still known by its name.
        if name == Manifest.path || name == Manifest.previousPath { return .manifest }
        if name.hasSuffix(".catalog") { return .catalog }
        if name.hasSuffix(".segment") { return .segment }
        return LogNames.number(ofName: name) == nil ? nil : .log
    }

    /// - Parameters:
    ///   - name: A file in the file system's root.
    ///   - blocksMax: Blocks of each table of a segment that are described one by one.
    /// - Returns: nil if it is no file of Apus.
    /// - Throws: `io` if it can't be read, `unsupportedFormat`. Damage is in `findings`.
    package static func read(
        _ fileSystem: any FileSystem, _ name: String, blocksMax: Int = 10
    ) throws(StorageError) -> FileInspection? {
        guard let kind = try kind(fileSystem, name) else { return nil }
        switch kind {
        case .segment: return try SegmentInspection.read(fileSystem, name, blocksMax: blocksMax)
        case .manifest:
            return try ManifestInspection.read(try fileSystem.readFile(name), name)
        case .catalog: return try CatalogInspection.read(try fileSystem.readFile(name), name)
        case .log: return try LogInspection.read(try fileSystem.readFile(name), name)
        }
    }

    /// Every byte of a file and what it means, as far as it can be read. Hands over the bytes too.
    package static func annotate(
        _ fileSystem: any FileSystem, _ name: String,
        _ body: (UnsafeRawBufferPointer, [AnnotatedRange]) -> Void
    ) throws(StorageError) {
        guard let kind = try kind(fileSystem, name) else { return }
        if kind == .segment {
            // A sealed file never changes, so that it may be mapped.
            let file = try fileSystem.map(name)
            body(file.bytes, SegmentAnnotation.annotate(file))
            withExtendedLifetime(file) {}
            return
        }
        let bytes = try fileSystem.readFile(name)
        // Safe: the annotators read through `ByteReader`; `body` must not keep the bytes.
        bytes.withUnsafeBytes { buffer in
            var annotator = ByteAnnotator(buffer)
            do throws(ByteReader.Malformed) {
                switch kind {
                case .manifest: try ManifestInspection.annotate(&annotator, buffer)
                case .catalog: try CatalogInspection.annotate(&annotator, buffer)
                default: try LogInspection.annotate(&annotator, buffer)
                }
                annotator.rest("behind the end")
            } catch {
                annotator.rest("UNREADABLE from here: \(error.reason)")
            }
            body(buffer, annotator.ranges)
        }
    }
}
