// Log lines on standard error: `2026-01-01T00:00:00.123Z info text key=value`.

internal import Apus
internal import ApusQuery
internal import Glibc
package import Logging
internal import Synchronization

/// The level that all copies of a log share, so that it can change while they are in use.
package final class SharedLogLevel: Sendable {
    private let state: Mutex<Logger.Level>

    package init(_ level: Logger.Level) { state = Mutex(level) }

    package var level: Logger.Level {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}

package struct StandardErrorLog: LogHandler {
    package var metadata: Logger.Metadata = [:]
    private let sharedLevel: SharedLogLevel

    package init(_ level: SharedLogLevel) { sharedLevel = level }

    package var logLevel: Logger.Level {
        get { sharedLevel.level }
        set { sharedLevel.level = newValue }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let writer = TextWriter(capacity: 256)
        writer.timestamp(nanoseconds: wallClockNanoseconds() / 1_000_000 * 1_000_000)
        writer.byte(0x20)
        writer.text(event.level.rawValue)
        writer.byte(0x20)
        // Users' names may be in a message; a line stays a line.
        writer.text("\(event.message)".replacing("\n", with: " "))
        for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }) {
            writer.text(" \(key)=\(value)")
        }
        writer.byte(0x0A)
        // One call, so that lines of several threads don't mix.
        _ = Glibc.write(STDERR_FILENO, writer.bytes.baseAddress, writer.bytes.count)
    }
}
