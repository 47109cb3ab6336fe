// How often a set is replayed: in whole passes, each behind the one before in time, so that all of
// its rows are new.

import Glibc
import Synchronization

/// Decides for all senders alike, or the set would not be whole at the end.
final class Passes: Sendable {
    private let state = Mutex((begun: 1, hasEnded: false))
    private let secondsMin: Double
    private let begin = monotonicSeconds()
    private let shiftNanoseconds: Int64
    private static let roundingNanoseconds: Int64 = 10_000_000_000

    /// Times go on at whole steps of ten seconds, the distance of rows in the sets.
    init(_ description: DataSetDescription, secondsMin: Double) {
        self.secondsMin = secondsMin
        let span = description.lastTimeNanoseconds - description.firstTimeNanoseconds
        shiftNanoseconds = (span / Self.roundingNanoseconds + 1) * Self.roundingNanoseconds
    }

    /// Whether there is a pass of this number, from 0: as long as the time isn't over when the first
    /// sender asks for it.
    func hasPass(_ number: Int) -> Bool {
        state.withLock { state in
            if number < state.begun { return true }
            if monotonicSeconds() - begin >= secondsMin { state.hasEnded = true }
            guard !state.hasEnded else { return false }
            state.begun = number + 1
            return true
        }
    }

    var count: Int { state.withLock { $0.begun } }

    /// What has to be added to the times of a pass.
    func shift(ofPass number: Int) -> Int64 { Int64(number) * shiftNanoseconds }
}

/// The bodies of a later pass: lines whose times, 19 digits before the newline, are moved.
struct ShiftedBody {
    private var bytes: [UInt8] = []
    private static let digitCount = 19

    /// The bytes of a range of the file, moved in time. They are good until the next call.
    mutating func read(
        _ range: Range<UInt64>, of set: DataSet, shift: Int64
    ) throws -> ArraySlice<UInt8> {
        let count = Int(range.upperBound - range.lowerBound)
        if bytes.count < count { bytes = [UInt8](repeating: 0, count: count) }
        try set.read(into: &bytes, count: count, at: range.lowerBound)
        try bytes.withUnsafeMutableBufferPointer { buffer in
            var start = 0
            while start < count {
                // Safe: `start` is below the count of the bytes that were read.
                guard let base = buffer.baseAddress,
                    let newline = memchr(base + start, 10, count - start)
                else { break }
                let end = UnsafeRawPointer(base).distance(to: newline)
                guard end >= Self.digitCount else { throw Self.notATime }
                try Self.move(buffer, (end - Self.digitCount)..<end, by: shift)
                start = end + 1
            }
        }
        return bytes[..<count]
    }

    private static var notATime: GenerateError {
        GenerateError(
            description: "a line does not end with a time of 19 digits: it can't be replayed later")
    }

    private static func move(
        _ buffer: UnsafeMutableBufferPointer<UInt8>, _ digits: Range<Int>, by shift: Int64
    ) throws {
        var value: Int64 = 0
        for index in digits {
            let digit = Int64(buffer[index]) - 48
            guard (0...9).contains(digit) else { throw notATime }
            value = value &* 10 &+ digit
        }
        value &+= shift
        for index in digits.reversed() {
            buffer[index] = UInt8(truncatingIfNeeded: 48 + value % 10)
            value /= 10
        }
    }
}
