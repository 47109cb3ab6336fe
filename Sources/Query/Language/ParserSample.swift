// SAMPLE BY and FILL, as QuestDB writes them.

extension Parser {
    mutating func sampleBy(_ statement: inout SelectStatement) throws(QueryError) {
        let position = current.position
        guard accept("SAMPLE", "BY") else {
            if at("FILL"), peek().is(.leftParenthesis) {
                throw QueryError(
                    .syntax, "FILL belongs to SAMPLE BY", at: position,
                    hint: "with GROUP BY use time_bucket_gapfill, locf and interpolate")
            }
            return
        }
        let widthPosition = current.position
        var sample = SampleBy(
            width: try sampleWidth(), widthPosition: widthPosition, position: position)
        if accept("FROM") { sample.from = try expression() }
        if accept("TO") { sample.to = try expression() }
        if at("FILL") {
            sample.fillPosition = current.position
            advance()
            sample.fill = try fillValues()
        }
        if accept("ALIGN") { try alignment(&sample) }
        statement.sampleBy = sample
    }

    /// `5m`, or `INTERVAL '5 minutes'`.
    mutating func sampleWidth() throws(QueryError) -> Interval {
        let token = current
        do throws(QueryError) {
            if case .duration = token.kind {
                advance()
                return try Interval.duration(token.text)
            }
            if accept("INTERVAL"), current.isString { return try Interval.parse(advance().text) }
        } catch {
            throw error.at(token.position)
        }
        throw unexpected(
            "a duration like 5m",
            hint: "units are ns us ms s m h d w mo (or M) y, without a space before them")
    }

    private mutating func fillValues() throws(QueryError) -> [FillValue] {
        try expect(.leftParenthesis)
        var values: [FillValue] = []
        repeat {
            switch current.keyword {
            case "NONE": values.append(.none)
            case "NULL": values.append(.null)
            case "PREV": values.append(.previous)
            case "LINEAR": values.append(.linear)
            default:
                values.append(.value(try expression()))
                continue
            }
            advance()
        } while accept(.comma)
        try expect(.rightParenthesis)
        return values
    }

    private mutating func alignment(_ sample: inout SampleBy) throws(QueryError) {
        try expect("TO")
        if at("FIRST", "OBSERVATION") { throw unsupported("ALIGN TO FIRST OBSERVATION") }
        try expect("CALENDAR")
        if accept("TIME") {
            try expect("ZONE")
            sample.zone = try expression()
        }
        if accept("WITH") {
            try expect("OFFSET")
            let token = current
            guard token.isString else { throw unexpected("an offset like '02:00'") }
            advance()
            do throws(QueryError) {
                sample.offset = try Interval.parse(token.text)
            } catch {
                throw error.at(token.position)
            }
        }
    }
}
