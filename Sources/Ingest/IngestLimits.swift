internal import ApusStorage

/// What a sender may make a parser hold. Lines beyond a limit are refused one by one.
package struct IngestLimits: Sendable {
    /// The longest line without its newline, newlines inside strings counted.
    package var lineBytesMax = 1 << 20
    /// The longest string value after unescaping.
    package var stringBytesMax = 65_536
    /// Measurement and tags as written plus the longest field name.
    package var seriesKeyBytesMax = SeriesKey.byteCountMax
    package var fieldsPerLineMax = 4_096
    package var tagsPerLineMax = 1_024
    /// Sets of fields in one batch: each has columns of its own.
    package var shapesPerBatchMax = 16_384
    package var newSeriesPerBatchMax = 1_000_000
    /// A context that holds more forgets everything before the next batch.
    package var cacheBytesMax = 128 << 20

    package init() {}
}
