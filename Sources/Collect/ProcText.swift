// How the kernel writes its tables: lines of words between runs of blanks.

/// The pieces the readers of /proc share.
package enum ProcText {
    package static func lines(_ text: String) -> [Substring] {
        text.split(separator: "\n", omittingEmptySubsequences: true)
    }

    package static func words(_ line: Substring) -> [Substring] {
        line.split(omittingEmptySubsequences: true) { $0 == " " || $0 == "\t" }
    }

    /// The numbers of a row from `index` on; a word that is no number counts as 0, since one odd
    /// column must not cost the whole row.
    package static func counters(_ words: [Substring], from index: Int) -> [UInt64] {
        words.dropFirst(index).map { UInt64($0) ?? 0 }
    }
}

/// The growth of a kernel counter between two readings.
///
/// Counters run backwards when they wrap or when a device went away and came back under the same
/// name. Both look alike from here, so the growth of such an interval is 0 instead of a spike.
package func counterGrowth(from earlier: UInt64, to later: UInt64) -> UInt64 {
    later >= earlier ? later - earlier : 0
}
