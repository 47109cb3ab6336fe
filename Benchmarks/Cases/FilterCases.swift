// Comparisons of a column with a constant, as WHERE makes them.

import ApusKernels
import ApusStorage
import ApusTestKit

enum FilterCases {
    static let all = [
        filter("integers", APUS_INT64, 50) { .integerWalk($0) },
        filter("decimals", APUS_FLOAT64, (50.0).bitPattern) { .decimalWalk($0) },
    ]

    /// A block's values that are greater, as bits. The values lie in the cache, where decoding has
    /// put them.
    private static func filter(
        _ name: String, _ type: apus_number_type, _ constant: UInt64,
        _ make: @escaping @Sendable (CaseSize) -> ColumnBlocks
    ) -> MicroCase {
        MicroCase("filter.greater.\(name)") { size in
            let rows = ColumnBlocks.rowsPerBlock
            let values = Array(make(size).slots.prefix(rows))
            let passes = size.choose(1, 1_024)
            var bits = [UInt64](repeating: 0, count: rows / 64 + 1)
            return PreparedCase(
                itemCount: passes * values.count, byteCount: passes * values.count * 8
            ) { digest in
                for _ in 0..<passes {
                    apus_filter(values, values.count, type, APUS_GREATER, constant, &bits)
                    digest?.add(bits[0])
                    digest?.add(bits[values.count / 64 - 1])
                }
            }
        }
    }
}
