// Samples that wait to be sent, oldest first, and never more than a fixed number of them.

/// A sample as it goes over the wire.
package struct Sample: Equatable, Sendable {
    package var timestampNanoseconds: Int64
    package var body: [UInt8]

    package init(timestampNanoseconds: Int64, body: [UInt8]) {
        self.timestampNanoseconds = timestampNanoseconds
        self.body = body
    }
}

/// A bounded queue that forgets its oldest sample when full: after a long outage the recent
/// minutes are worth more than the first.
package struct Backlog: Sendable {
    package let sampleCountMax: Int
    package private(set) var samples: [Sample] = []
    /// Forgotten since the count was last taken.
    private var forgottenCount = 0

    package init(sampleCountMax: Int) {
        self.sampleCountMax = max(1, sampleCountMax)
    }

    package mutating func append(_ sample: Sample) {
        if samples.count == sampleCountMax {
            samples.removeFirst()
            forgottenCount += 1
        }
        samples.append(sample)
    }

    package var oldest: Sample? { samples.first }

    /// Removes a sample that was dealt with, unless it was forgotten meanwhile.
    package mutating func remove(_ sample: Sample) {
        if samples.first?.timestampNanoseconds == sample.timestampNanoseconds {
            samples.removeFirst()
        }
    }

    package mutating func takeForgottenCount() -> Int {
        defer { forgottenCount = 0 }
        return forgottenCount
    }
}
