// Micro-benchmarks: one operation of one layer over one data set, each with a hash of its result,
// so that a fast wrong answer is not taken for a fast one. The same cases run at full size under
// `make bench` and at small size under `make test`.

/// How much a case handles.
package enum CaseSize: Sendable {
    /// Milliseconds in all, for the tests.
    case small
    /// A pass takes about a millisecond, and does not fit into the first cache.
    case full

    func choose<T>(_ small: T, _ full: T) -> T { self == .small ? small : full }
}

/// A case with its input made.
package struct PreparedCase {
    /// Values, lines or series that one pass handles, whichever the name speaks of.
    package let itemCount: Int
    /// Bytes that one pass reads or writes in their encoded form; 0 where that says nothing.
    package let byteCount: Int
    /// Does the work once. With a digest, what came out is added to it; the same code runs either
    /// way, so what is hashed is what was measured. Any number of passes give the same result.
    package let pass: (inout Digest?) throws -> Void

    init(
        itemCount: Int, byteCount: Int = 0, pass: @escaping (inout Digest?) throws -> Void
    ) {
        self.itemCount = itemCount
        self.byteCount = byteCount
        self.pass = pass
    }

    /// The work once, as it is measured.
    package func run() throws {
        var none: Digest?
        try pass(&none)
    }

    /// The hash of what a pass yields.
    package func resultHash() throws -> UInt64 {
        var digest: Digest? = Digest()
        try pass(&digest)
        return digest?.value ?? 0
    }
}

/// A micro-benchmark. Inputs come from fixed seeds.
package struct MicroCase: Sendable {
    /// `layer.operation.dataset`
    package let name: String
    /// Makes the input. What it takes is not measured.
    package let prepare: @Sendable (CaseSize) throws -> PreparedCase

    init(_ name: String, prepare: @escaping @Sendable (CaseSize) throws -> PreparedCase) {
        self.name = name
        self.prepare = prepare
    }

    package static let all: [MicroCase] =
        CodecCases.all + ColdCodecCases.all + LogCases.all + ParserCases.all + IndexCases.all
        + ScanCases.all + FilterCases.all + QueryCases.all
}

/// The input isn't what the case is about, or the result isn't one.
struct CaseError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}
