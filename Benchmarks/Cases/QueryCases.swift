// Whole statements: parsing, planning, scanning, grouping. The answer is not turned into text.

enum QueryCases {
    static let all = StoreFixture.Place.allCases.map { place in
        MicroCase("query.average-by-host-hour.\(place.rawValue)") { size in
            let input = LineInput.cpuOnly(hosts: size.choose(20, 400), ticks: size.choose(400, 720))
            return try StoreFixture(input, in: place).query(
                """
                SELECT hostname, time_bucket('1 hour', time) AS hour, avg(usage_user), max(usage_idle)
                  FROM cpu GROUP BY hostname, hour ORDER BY hostname, hour
                """, itemCount: input.lineCount)
        }
    }
}
