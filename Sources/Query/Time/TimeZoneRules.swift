// A time zone: the offset from UTC at every instant, and the instant of every local time.

internal import Glibc
internal import Synchronization

/// The rules of one time zone, from the system's tzdata, or a fixed offset. Immutable.
package final class TimeZoneRules: Sendable {
    /// As it was asked for.
    package let name: String
    private let transitions: [Int64]
    private let offsets: [Int32]
    private let rule: TimeZoneRule?
    /// The offset, if it is the same for ever: UTC and zones like '+02:00'.
    package let fixedOffsetSeconds: Int?

    package static let utc = TimeZoneRules(name: "UTC", fixedOffsetSeconds: 0)

    package var isUTC: Bool { fixedOffsetSeconds == 0 }

    private init(name: String, fixedOffsetSeconds: Int) {
        self.name = name
        self.fixedOffsetSeconds = fixedOffsetSeconds
        transitions = []
        offsets = [Int32(fixedOffsetSeconds)]
        rule = nil
    }

    private init?(name: String, file: TimeZoneFile) {
        self.name = name
        transitions = file.transitions
        offsets = file.offsets
        rule = TimeZoneRule(file.rule)
        if !file.rule.isEmpty, rule == nil { return nil }
        fixedOffsetSeconds =
            transitions.isEmpty
                && (rule == nil || file.rule.utf8.contains(UInt8(ascii: ",")) == false)
            ? Int(file.offsets[0]) : nil
    }

    // MARK: - Finding

    private static let cache = Mutex<[String: TimeZoneRules]>([:])
    /// The system has some 600 names; different spellings of them fill the rest.
    private static let cacheCountMax = 2_000

    /// The zone of a name like `Europe/Berlin`, `UTC`, `Z`, or a fixed offset like `+02:00`.
    ///
    /// Names are compared as the file system does. The first use of a name reads a file, later
    /// ones take a lock and a dictionary look-up.
    ///
    /// - Throws: `semantic` if there is no such zone.
    package static func named(_ name: String) throws(QueryError) -> TimeZoneRules {
        if let known = cache.withLock({ $0[name] }) { return known }
        guard let found = fixed(name) ?? load(name) else {
            throw QueryError(
                .semantic, "there is no time zone \"\(name.prefix(60))\"",
                hint: "use a name like 'Europe/Berlin', 'UTC' or an offset like '+02:00'")
        }
        cache.withLock { if $0.count < cacheCountMax { $0[name] = found } }
        return found
    }

    /// `UTC`, `GMT`, `Z`, `+hh`, `-hhmm`, `+hh:mm`: east is positive, as in ISO 8601.
    private static func fixed(_ name: String) -> TimeZoneRules? {
        if ["UTC", "GMT", "Z", "ZULU"].contains(asciiUppercased(name)) {
            return TimeZoneRules(name: "UTC", fixedOffsetSeconds: 0)
        }
        guard let first = name.utf8.first, first == UInt8(ascii: "+") || first == UInt8(ascii: "-")
        else { return nil }
        let bytes = Array(name.utf8)
        var index = 0
        guard let seconds = TimestampText.offset(bytes, &index), index == bytes.count
        else { return nil }
        return TimeZoneRules(name: name, fixedOffsetSeconds: seconds)
    }

    private static let directories = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo"]
    private static let fileBytesMax = 1 << 20

    private static func load(_ name: String) -> TimeZoneRules? {
        guard isSafe(name) else { return nil }
        for directory in directories {
            guard let bytes = contents(of: directory + "/" + name) else { continue }
            return TimeZoneFile(bytes).flatMap { TimeZoneRules(name: name, file: $0) }
        }
        return nil
    }

    /// Letters, digits and `_+-` in parts between single slashes: never a path that leads outside.
    private static func isSafe(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 60 else { return false }
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return parts.allSatisfy { part in
            !part.isEmpty
                && part.allSatisfy { byte in
                    (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == UInt8(ascii: "_")
                        || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
                }
        }
    }

    private static func contents(of path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < fileBytesMax {
            let count = read(descriptor, &part, part.count)
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes.append(contentsOf: part[..<count])
        }
        return nil
    }

    // MARK: - Offsets

    /// Seconds east of UTC at an instant given in seconds since 1970 UTC.
    package func offsetSeconds(at seconds: Int64) -> Int64 {
        if let fixedOffsetSeconds { return Int64(fixedOffsetSeconds) }
        guard let last = transitions.last, seconds < last else {
            if let rule { return Int64(rule.offset(at: seconds)) }
            return Int64(offsets[offsets.count - 1])
        }
        var low = 0
        var high = transitions.count
        while low < high {
            let middle = (low + high) / 2
            if transitions[middle] <= seconds { low = middle + 1 } else { high = middle }
        }
        return Int64(offsets[low])
    }

    /// Seconds since 1970 UTC of a local reading in seconds, chosen as PostgreSQL chooses.
    ///
    /// In a gap the offset before the change counts, so that 02:30 becomes 03:30. Of two readings
    /// in an overlap the later instant is taken: with standard time after daylight time that is
    /// the standard one.
    package func instant(ofLocalSeconds local: Int64) -> Int64 {
        if let fixedOffsetSeconds { return local - Int64(fixedOffsetSeconds) }
        // No zone changes twice within two days, so that these are the offsets on both sides.
        let before = offsetSeconds(at: local - 86_400 - 3_600)
        let after = offsetSeconds(at: local + 86_400 + 3_600)
        let withBefore = local - before
        let withAfter = local - after
        if before == after, offsetSeconds(at: withBefore) == before { return withBefore }
        let afterHolds = offsetSeconds(at: withAfter) == after
        let beforeHolds = offsetSeconds(at: withBefore) == before
        if afterHolds && beforeHolds { return max(withBefore, withAfter) }
        return afterHolds ? withAfter : withBefore
    }

    /// Local nanoseconds of an instant, saturating at the ends of the range.
    package func local(ofNanoseconds instant: Int64) -> Int64 {
        let seconds = CalendarMath.floorDivide(instant, CalendarMath.nanosecondsPerSecond)
        let shift = offsetSeconds(at: seconds) * CalendarMath.nanosecondsPerSecond
        let (sum, overflow) = instant.addingReportingOverflow(shift)
        return overflow ? (shift > 0 ? .max : .min) : sum
    }

    /// The instant of local nanoseconds, saturating at the ends of the range.
    package func instant(ofLocalNanoseconds local: Int64) -> Int64 {
        let seconds = CalendarMath.floorDivide(local, CalendarMath.nanosecondsPerSecond)
        let shift = (instant(ofLocalSeconds: seconds) - seconds) * CalendarMath.nanosecondsPerSecond
        let (sum, overflow) = local.addingReportingOverflow(shift)
        return overflow ? (shift > 0 ? .max : .min) : sum
    }
}
