// What the server says about itself: the endpoints that clients look for below their own paths, and
// the page of metrics.

import ApusServer
import ApusTestKit
import Testing

/// A page of Prometheus' text format, taken apart by its rules; what breaks one is a fault.
private struct Exposition {
    struct Sample {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    var types: [String: String] = [:]
    var samples: [Sample] = []
    var faults: [String] = []

    init(_ text: String) {
        if !text.hasSuffix("\n") { faults.append("the last line has no newline") }
        var helped: Set<String> = []
        /// The family whose samples may stand here.
        var family = ""
        var seen: Set<String> = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            switch (words.first, words.dropFirst().first) {
            case ("#", "HELP"):
                guard words.count == 4, Self.isName(words[2]), !words[3].isEmpty else {
                    faults.append("help: \(line)")
                    continue
                }
                if !helped.insert(words[2]).inserted { faults.append("twice: \(line)") }
                family = words[2]
            case ("#", "TYPE"):
                guard words.count == 4, ["counter", "gauge", "histogram"].contains(words[3]) else {
                    faults.append("type: \(line)")
                    continue
                }
                if words[2] != family { faults.append("a type without its help: \(line)") }
                if types.updateValue(words[3], forKey: words[2]) != nil {
                    faults.append("twice: \(line)")
                }
            default:
                guard let sample = Self.sample(line) else {
                    faults.append("no sample: \(line)")
                    continue
                }
                let isHistogram = types[family] == "histogram"
                let suffixes = isHistogram ? ["_bucket", "_sum", "_count"] : [""]
                if !suffixes.contains(where: { sample.name == family + $0 })
                    || types[family] == nil
                {
                    faults.append("outside its family: \(line)")
                }
                let labels = sample.labels.sorted { $0.key < $1.key }
                if !seen.insert("\(sample.name)\(labels)").inserted {
                    faults.append("twice: \(line)")
                }
                samples.append(sample)
            }
        }
        for name in helped where types[name] == nil { faults.append("\(name) has no type") }
        for (name, type) in types where name.hasSuffix("_total") != (type == "counter") {
            faults.append("\(name) is a \(type)")
        }
        for (name, type) in types where type == "histogram" {
            let buckets = samples.filter { $0.name == name + "_bucket" }
            let isRising = zip(buckets, buckets.dropFirst()).allSatisfy {
                $0.value <= $1.value
                    && (Double($0.labels["le"] ?? "") ?? .nan)
                        < (Double($1.labels["le"]?.replacing("+Inf", with: "inf") ?? "") ?? .nan)
            }
            if !isRising || buckets.last?.labels["le"] != "+Inf"
                || buckets.last?.value != value(name + "_count") || value(name + "_sum") == nil
            {
                faults.append("\(name) is no histogram")
            }
        }
        for sample in samples where types[sample.name] == "counter" && !(sample.value >= 0) {
            faults.append("\(sample.name) is \(sample.value)")
        }
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        samples.first { $0.name == name && $0.labels == labels }?.value
    }

    private static func isName(_ text: some StringProtocol, colons: Bool = true) -> Bool {
        guard let first = text.utf8.first, !(48...57).contains(first) else { return false }
        return text.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                || $0 == 0x5F || (colons && $0 == 0x3A)
        }
    }

    /// `name{label="value",…} number`
    private static func sample(_ line: Substring) -> Sample? {
        guard let blank = line.lastIndex(of: " "),
            let value = Double(line[line.index(after: blank)...])
        else { return nil }
        let series = line[..<blank]
        guard let brace = series.firstIndex(of: "{") else {
            return isName(series) ? Sample(name: String(series), labels: [:], value: value) : nil
        }
        guard isName(series[..<brace]), series.last == "}",
            let labels = labels(series[series.index(after: brace)...].dropLast())
        else { return nil }
        return Sample(name: String(series[..<brace]), labels: labels, value: value)
    }

    private static func labels(_ text: Substring) -> [String: String]? {
        var labels: [String: String] = [:]
        var rest = text
        while !rest.isEmpty {
            guard let equals = rest.firstIndex(of: "=") else { return nil }
            let name = rest[..<equals]
            rest = rest[rest.index(after: equals)...]
            guard isName(name, colons: false), !name.hasPrefix("__"), rest.popFirst() == "\""
            else { return nil }
            var value = ""
            while let character = rest.popFirst(), character != "\"" {
                guard character == "\\" else {
                    value.append(character)
                    continue
                }
                switch rest.popFirst() {
                case "n": value.append("\n")
                case let escaped? where escaped == "\\" || escaped == "\"": value.append(escaped)
                default: return nil
                }
            }
            guard labels.updateValue(value, forKey: String(name)) == nil,
                rest.isEmpty || rest.popFirst() == ","
            else { return nil }
        }
        return labels
    }
}

@Suite(.serialized) struct `What the server says about itself` {
    @Test(arguments: ["", "/pve", "/some/deep/path-with.dots/and%20more"])
    func `clients' endpoints work below any path`(_ prefix: String) throws {
        let server = try TestServer()
        let client = try server.connect()
        for method in ["GET", "HEAD"] {
            let ping = try client.request(method, prefix + "/ping")
            #expect(ping.status == 204 && ping.headers["x-influxdb-version"] != nil, "\(method)")
        }
        let health = try client.request("GET", prefix + "/health")
        #expect(health.status == 200 && health.text.hasPrefix(#"{"name":"apus","#))
        #expect(health.text.contains(#""status":"pass""#))
        let created = try client.request("POST", prefix + "/query?q=CREATE+DATABASE+made", text: "")
        #expect(created.status == 200, "\(created.text)")
        #expect(
            try client.request("GET", prefix + "/query?q=SHOW+DATABASES").text.contains(
                #"["made"]"#))
        for (number, target) in [
            "/write?db=", "/api/v2/write?bucket=", "/api/v3/write_lp?db=",
        ].enumerated() {
            let answer = try client.request(
                "POST", "\(prefix)\(target)d\(number)&precision=ns", text: "m v=\(number) 1")
            #expect(answer.status == 204, "\(target): \(answer.text)")
            #expect(try client.rows("SELECT v FROM m", "&db=d\(number)") == "[[\(number).0]]")
        }
        // Behind a prefix too, each family refuses in its own words.
        for (target, start) in [
            ("/write", #"{"error":""#), ("/api/v2/write", #"{"code":""#),
            ("/api/v3/write_lp", #"{"error":""#), ("/query", #"{"error":""#),
        ] {
            let refused = try client.request("PUT", prefix + target)
            #expect(refused.status == 405 && refused.text.hasPrefix(start), "\(refused.text)")
        }
        withExtendedLifetime(server) {}
    }

    @Test func `endpoints of our own have no prefix, and a name within a path is none`() throws {
        let server = try TestServer()
        let client = try server.connect()
        for target in [
            "/x/sql?q=SELECT+1", "/x/metrics", "/x/ready", "/ping/x", "/health/", "/xping",
        ] {
            #expect(try client.request("GET", target).status == 404, "\(target)")
        }
        #expect(try client.request("POST", "/rewrite?db=r", text: "m v=1 1").status == 404)
        #expect(try client.sql("SELECT 1 FROM m", "&db=r").status == 404)
        withExtendedLifetime(server) {}
    }

    @Test func `metrics are valid exposition, each family once, and count what happened`() throws {
        let server = try TestServer {
            $0.lineTCP = ListenerAddress(host: "127.0.0.1", port: 0)
            $0.lineUDP = ListenerAddress(host: "127.0.0.1", port: 0)
        }
        let client = try server.connect()
        let before = Exposition(try client.request("GET", "/metrics").text)
        #expect(before.faults == [])
        #expect(try client.request("POST", "/write", text: "m a=1,b=2 1\nm a=3 2").status == 204)
        #expect(try client.request("POST", "/write", text: "m a=1 3\nbad").status == 400)
        #expect(try client.request("GET", "/nothing/with\"quotes").status == 404)
        #expect(try client.post("FLUSH").status == 200)
        let answer = try client.request("GET", "/metrics")
        #expect(answer.status == 200)
        #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        let page = Exposition(answer.text)
        #expect(page.faults == [])
        #expect(page.types.count > 30 && page.samples.count >= page.types.count)
        #expect(page.types.keys.allSatisfy { $0.hasPrefix("apus_") })
        #expect(page.value("apus_rows_stored_total") == 3)
        #expect(page.value("apus_values_stored_total") == 4)
        #expect(page.value("apus_segments") == 1 && page.value("apus_flushes_total") == 1)
        let stored = ["endpoint": "/write", "status": "204"]
        #expect(page.value("apus_http_requests_total", stored) == 1)
        let unknown = ["endpoint": "other", "status": "404"]
        #expect(page.value("apus_http_requests_total", unknown) == 1)
        #expect(page.value("apus_lines_rejected_total", ["reason": "malformed"]) == 1)
        #expect(page.value("apus_connections", ["listener": "http"]) == 1)
        #expect(page.value("apus_log_sync_duration_seconds_count") ?? 0 >= 2)
        #expect(page.value("apus_flush_duration_seconds_bucket", ["le": "+Inf"]) == 1)
        #expect(page.value("apus_flush_duration_seconds_sum") ?? 0 > 0)
        #expect(page.types["apus_background_idle"] == "gauge")
        withExtendedLifetime(server) {}
    }

    @Test func `metrics say where series are and whose lines were refused`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let lines = #"c"pu,a=1 v=1 1\nc"pu,a=2 v="text" 2\nmem v=1 3\nc"pu,a=3 v="more" 4\n"#
            .replacing(#"\n"#, with: "\n")
        #expect(try client.request("POST", "/write?db=a%22b", text: lines).status == 400)
        let page = Exposition(try client.request("GET", "/metrics").text)
        #expect(page.faults == [])
        let place = ["database": #"a"b"#]
        #expect(page.value("apus_database_tables", place) == 2)
        #expect(page.value("apus_database_series", place) ?? 0 >= 2)
        let refused = ["database": #"a"b"#, "table": #"c"pu"#, "reason": "conflict"]
        #expect(page.value("apus_table_lines_rejected_total", refused) == 2)
        #expect(page.value("apus_lines_rejected_total", ["reason": "conflict"]) == 2)
        withExtendedLifetime(server) {}
    }

    @Test func `the reader of the exposition sees what is wrong`() {
        for text in [
            "", "a 1\n", "# TYPE a counter\na 1\n", "# HELP a b\n# TYPE a gauge\na x\n",
            "# HELP a b\n# TYPE a gauge\na 1\na 1\n", "# HELP a b\n# TYPE a gauge\na 1",
            "# HELP a b\n# TYPE a gauge\n# HELP a b\n# TYPE a gauge\na 1\n",
            "# HELP a b\n# TYPE a gauge\na{1x=\"y\"} 1\n", "# HELP a b\n# TYPE a gauge\na-b 1\n",
            "# HELP a_total b\n# TYPE a_total gauge\na_total 1\n",
        ] { #expect(!Exposition(text).faults.isEmpty, "\(text)") }
        #expect(Exposition("# HELP a b c\n# TYPE a gauge\na{x=\"y\"} 1\na 2.5\n").faults == [])
    }
}
