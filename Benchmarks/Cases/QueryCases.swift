// Whole statements: parsing, planning, scanning, grouping. The answer is not turned into text.

enum QueryCases {
    static let all = StoreFixture.Place.allCases.flatMap { place in
        [
            statement(
                "average-by-host-hour", place,
                """
                SELECT hostname, time_bucket('1 hour', time) AS hour, avg(usage_user), max(usage_idle)
                  FROM cpu GROUP BY hostname, hour ORDER BY hostname, hour
                """),
            statement(
                "count-above", place,
                "SELECT count(*) FROM cpu WHERE usage_user > 90 AND usage_system <= 60"),
        ]
    }

    private static func statement(
        _ name: String, _ place: StoreFixture.Place, _ sql: String
    ) -> MicroCase {
        MicroCase("query.\(name).\(place.rawValue)") { size in
            let input = LineInput.cpuOnly(hosts: size.choose(20, 400), ticks: size.choose(400, 720))
            return try StoreFixture(input, in: place).query(sql, itemCount: input.lineCount)
        }
    }
}
