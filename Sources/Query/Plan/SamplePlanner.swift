// SAMPLE BY as a grouping by a bucket of time, and what FILL makes of it.

internal import ApusStorage

/// A SAMPLE BY whose expressions are bound.
struct BoundSample {
    var syntax: SampleBy
    var bucket: BoundExpression
    var rule: BucketRule
    /// FROM and TO.
    var range: TimeRange

    /// The groups: the bucket, and what the select list has beside aggregates.
    func keys(of outputs: [BoundExpression]) -> [BoundExpression] {
        [bucket].appending(keysAmong: outputs)
    }
}

extension SelectPlanner {
    /// Binds the clause; from here on `time` is the bucket, outside of aggregates.
    func bindSample(
        _ sample: SampleBy, _ scope: QueryScope?, _ binder: Binder
    ) throws(QueryError) -> BoundSample {
        guard let scope else {
            throw QueryError(.semantic, "SAMPLE BY needs a table", at: sample.position)
        }
        binder.clause = "SAMPLE BY"
        var range = TimeRange.all
        if let from = sample.from {
            range.lower = try binder.instant(try binder.bind(from), "SAMPLE BY FROM")
        }
        if let to = sample.to {
            range.upper = try binder.instant(try binder.bind(to), "SAMPLE BY TO")
        }
        var zone = session.zone.rules
        if let syntax = sample.zone {
            let name = try binder.asString(try binder.bind(syntax), "TIME ZONE")
            zone = try binder.zoneNamed(name.constant?.text ?? "", at: syntax.position)
        }
        let bucket: TimeBucket
        do throws(QueryError) {
            bucket = try .timeBucket(width: sample.width, zone: zone, offset: sample.offset)
        } catch {
            throw error.at(sample.widthPosition)
        }
        let rule = BucketRule(bucket, name: "sample by")
        let time = scope.expression(
            try scope.needTime("SAMPLE BY", at: sample.position), at: sample.position)
        let bound = BoundExpression(.bucket(rule, time), .timestamp, at: sample.position)
        binder.bucketForTime = bound
        return BoundSample(syntax: sample, bucket: bound, rule: rule, range: range)
    }

    /// What FILL, or time_bucket_gapfill, asks for; nil if neither is there.
    func fillPlan(
        _ sample: BoundSample?, _ draft: Draft, _ binder: Binder
    ) throws(QueryError) -> FillPlan? {
        let keys = draft.keys
        if let sample {
            if let call = binder.gapFilled.first {
                throw gapFillWithoutBucket(at: call.argument.position)
            }
            guard
                let modes = try sampleModes(sample.syntax, draft.selectedAggregateCount, binder)
            else { return nil }
            let columns = zip(binder.aggregates.indices, modes).map { index, mode in
                FillColumn(
                    expression: aggregateColumn(index, keys, binder), mode: mode, fillsNulls: true)
            }
            return FillPlan(bucketKey: 0, rule: sample.rule, columns: columns)
        }
        guard let gapFill = binder.gapFill else {
            if let call = binder.gapFilled.first {
                throw gapFillWithoutBucket(at: call.argument.position)
            }
            return nil
        }
        guard let bucketKey = keys.firstIndex(of: gapFill.bucket),
            case .bucket(let rule, _) = gapFill.bucket.kind
        else {
            throw QueryError(
                .semantic, "time_bucket_gapfill must be in GROUP BY", at: gapFill.bucket.position)
        }
        var columns = binder.aggregates.indices.map {
            FillColumn(
                expression: aggregateColumn($0, keys, binder), mode: .null, fillsNulls: false)
        }
        for call in binder.gapFilled {
            columns.append(
                FillColumn(
                    expression: try binder.afterGrouping(call.argument, keys: keys),
                    mode: call.mode, fillsNulls: call.fillsNulls))
        }
        return FillPlan(
            bucketKey: bucketKey, rule: rule, lower: gapFill.lower, upper: gapFill.upper,
            reachesRows: true, columns: columns)
    }

    private func gapFillWithoutBucket(at position: SourcePosition) -> QueryError {
        QueryError(
            .semantic, "locf and interpolate go with GROUP BY time_bucket_gapfill(…)", at: position)
    }

    private func aggregateColumn(
        _ index: Int, _ keys: [BoundExpression], _ binder: Binder
    ) -> BoundExpression {
        let call = binder.aggregates[index]
        return BoundExpression(
            .column(keys.count + index), call.type, at: call.argument?.position ?? .start)
    }

    /// A mode for each aggregate, NULL for those that aren't selected; nil if nothing is filled.
    private func sampleModes(
        _ sample: SampleBy, _ selectedCount: Int, _ binder: Binder
    ) throws(QueryError) -> [FillMode]? {
        guard let position = sample.fillPosition, sample.fill != [.none] else { return nil }
        let aggregates = binder.aggregates
        guard sample.fill.count == 1 || sample.fill.count == selectedCount else {
            throw QueryError(
                .semantic,
                "FILL has \(sample.fill.count) values for \(selectedCount) aggregates",
                at: position, hint: "one for all, or one for each different aggregate")
        }
        binder.clause = "FILL"
        binder.allowsAggregates = false
        defer { binder.allowsAggregates = true }
        var modes: [FillMode] = []
        for (index, aggregate) in aggregates.enumerated() {
            guard index < selectedCount else {
                modes.append(.null)
                continue
            }
            switch sample.fill[sample.fill.count == 1 ? 0 : index] {
            case .none:
                throw QueryError(.semantic, "FILL(NONE) stands alone", at: position)
            case .null: modes.append(.null)
            case .previous: modes.append(.previous)
            case .linear:
                try binder.checkLinear(
                    BoundExpression(.aggregate(index), aggregate.type, at: position))
                modes.append(.linear)
            case .value(let syntax):
                modes.append(.value(try fillConstant(syntax, aggregate.type, binder)))
            }
        }
        return modes
    }

    private func fillConstant(
        _ syntax: Expression, _ type: ResultType, _ binder: Binder
    ) throws(QueryError) -> Constant {
        var value = try binder.bind(syntax)
        if value.isUntyped {
            value = try binder.coerce(value, to: type)
        } else if value.type != type {
            guard value.type.isNumeric, type.isNumeric else {
                throw QueryError(
                    .semantic,
                    "FILL has a value of type \(value.type.rawValue) for an "
                        + "aggregate of type \(type.rawValue)", at: syntax.position)
            }
            value = binder.folded(binder.cast(value, to: type))
        }
        guard let constant = value.constant else {
            throw QueryError(.semantic, "FILL takes constants", at: syntax.position)
        }
        return constant
    }
}

extension [BoundExpression] {
    /// With what a select list is grouped by unsaid: all that is computed for each row alone.
    func appending(keysAmong outputs: [BoundExpression]) -> [BoundExpression] {
        var keys = self
        for output in outputs
        where !output.containsAggregate && !output.containsWindow && output.constant == nil
            && !keys.contains(output)
        {
            keys.append(output)
        }
        return keys
    }
}
