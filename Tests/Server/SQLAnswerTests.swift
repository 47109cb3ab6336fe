// `/sql` over a socket: the shapes of its answers, whole and broken off.

import ApusServer
import ApusTestKit
import Testing

/// Nil if the bytes are not gzip.
private func inflated(_ packed: [UInt8]) -> [UInt8]? {
    var bytes: [UInt8] = []
    let inflater = Inflater(bytesMax: 1 << 24)
    let isWhole = packed.withUnsafeBytes { input in
        do throws(Inflater.Fault) {
            try inflater.feed(input) { bytes += $0 }
            return true
        } catch { return false }
    }
    return isWhole ? bytes : nil
}

@Suite(.serialized) struct `The answers of sql` {
    @Test func `JSON names columns as PostgreSQL does, and every type`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let statement = """
            SELECT 1, TIMESTAMP '2026-01-01 00:00:00.5' AS t, TIMESTAMP '2026-01-01' AT TIME ZONE 'UTC' AS l, \
            DATE '2026-01-02' AS d, INTERVAL '1 day 2 hours' AS i, 'x' AS s, 1.5 AS f, \
            18446744073709551615 AS u, true AS b, NULL AS nothing, avg(1), 9223372036854775807 AS big
            """
        let answer = try client.sql(statement)
        #expect(answer.status == 200 && answer.headers["content-type"] == "application/json")
        let types = [
            ("?column?", "int64"), ("t", "timestamp"), ("l", "timestamp_local"), ("d", "date"),
            ("i", "interval"), ("s", "string"), ("f", "float64"), ("u", "uint64"), ("b", "bool"),
            ("nothing", "string"), ("avg", "float64"), ("big", "int64"),
        ].map { #"{"name":"\#($0)","type":"\#($1)"}"# }.joined(separator: ",")
        #expect(answer.text.hasPrefix(#"{"columns":[\#(types)],"rows":"#), "\(answer.text)")
        #expect(
            try client.rows(statement)
                == #"[[1,"2026-01-01T00:00:00.5Z","2026-01-01T00:00:00","2026-01-02","1 day 02:00:00","x",1.5,18446744073709551615,true,null,1.0,9223372036854775807]]"#
        )
        withExtendedLifetime(server) {}
    }

    @Test func `NaN and infinities are null in JSON and NDJSON and spelled in CSV`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let statement =
            "SELECT 'NaN'::double AS a, 'Infinity'::double AS b, '-Infinity'::double AS c, "
            + "NULL::double AS d, '' AS e, NULL::text AS f, 'a,\"b' AS g"
        #expect(try client.rows(statement) == #"[[null,null,null,null,"",null,"a,\"b"]]"#)
        let ndjson = try client.sql(statement, "&format=ndjson")
        #expect(ndjson.headers["content-type"] == "application/x-ndjson")
        #expect(
            ndjson.text
                == #"{"a":null,"b":null,"c":null,"d":null,"e":"","f":null,"g":"a,\"b"}"# + "\n")
        let csv = try client.sql(statement, "&format=csv")
        #expect(csv.headers["content-type"]?.hasPrefix("text/csv") == true)
        #expect(csv.text == "a,b,c,d,e,f,g\nNaN,Infinity,-Infinity,,\"\",,\"a,\"\"b\"\n")
        #expect(try client.sql(statement, "&format=xml").status == 400)
        let told = try client.sql(statement, "&nonfinite=text&format=ndjson")
        #expect(
            told.text
                == #"{"a":"NaN","b":"Infinity","c":"-Infinity","d":null,"e":"","f":null,"g":"a,\"b"}"#
                + "\n")
        #expect(
            try client.sql(statement, "&nonfinite=text").text
                .contains(#"[["NaN","Infinity","-Infinity",null,"",null,"#))
        #expect(try client.sql(statement, "&nonfinite=csv").status == 400)
        withExtendedLifetime(server) {}
    }

    @Test func `a repeated name keeps its place in JSON and CSV and gets a number in NDJSON`()
        throws
    {
        let server = try TestServer()
        let client = try server.connect()
        let statement = "SELECT 1 AS a, 2 AS a, 3 AS b, 4 AS a"
        #expect(
            try client.sql(statement, "&format=ndjson").text
                == #"{"a":1,"a_1":2,"b":3,"a_2":4}"# + "\n")
        #expect(try client.sql(statement, "&format=csv").text == "a,a,b,a\n1,2,3,4\n")
        withExtendedLifetime(server) {}
    }

    @Test func `definitions answer without columns and rows`() throws {
        let server = try TestServer()
        let client = try server.connect()
        for (index, statement) in [
            "CREATE DATABASE d", "CREATE TABLE x (host TAG, v DOUBLE)",
            "INSERT INTO x (host, v) VALUES ('a', 1)", "FLUSH", "COMPACT", "COMPACT x",
            "DROP TABLE x", "DROP DATABASE d",
        ].enumerated() {
            let answer = try client.post(statement)
            #expect(
                answer.status == 200
                    && answer.text.hasPrefix(
                        #"{"columns":[],"rows":[],"row_count":0,"warnings":[],"#),
                "\(index) \(statement): \(answer.text)")
        }
        #expect(try client.post("CREATE DATABASE e", "format=csv").text == "")
        #expect(try client.post("CREATE DATABASE f", "format=ndjson").text == "")
        // No rows are something else than no columns.
        #expect(try client.post("SELECT 1 AS a WHERE false", "format=csv").text == "a\n")
        withExtendedLifetime(server) {}
    }

    @Test func `row_count and stats tell what the query did`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let lines = (0..<2_000).map { "t,host=h\($0 % 2) v=\($0)i \($0)\n" }.joined()
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        #expect(try client.post("FLUSH").status == 200)
        let answer = try client.sql("SELECT v FROM t WHERE host = 'h1'")
        #expect(answer.text.contains(#","row_count":1000,"warnings":[],"stats":{"elapsed_ms":"#))
        for part in [#","rows_scanned":1000,"#, #","blocks_read":1,"#, #","blocks_skipped":"#] {
            #expect(answer.text.contains(part), "\(part): \(answer.text.suffix(300))")
        }
        #expect(!answer.text.contains(#""bytes_read":0}"#) && answer.text.hasSuffix("}}\n"))
        // More rows than a block holds: the range leaves one of two out.
        let long = (0..<2_000).map { "long v=\($0)i \($0)\n" }.joined()
        #expect(try client.request("POST", "/write", text: long).status == 204)
        #expect(try client.post("FLUSH").status == 200)
        let ranged = try client.sql("SELECT v FROM long WHERE time < 500")
        #expect(
            ranged.text.contains(#","blocks_read":1,"blocks_skipped":1,"#),
            "\(ranged.text.suffix(300))")
        let elapsed = try ranged.part(from: #""elapsed_ms":"#, to: #","rows_scanned""#)
        #expect((Double(elapsed) ?? 0) > 0, "\(elapsed)")
        withExtendedLifetime(server) {}
    }

    @Test func `gzip is answered when asked for, streamed or whole`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let lines = (0..<10_000).map { "t v=\($0)i \($0)\n" }.joined()
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        for statement in ["SELECT 1 AS a", "SELECT time, v FROM t ORDER BY time"] {
            let plain = try client.sql(statement, "&format=csv")
            #expect(plain.headers["content-encoding"] == nil)
            #expect(plain.headers["vary"]?.contains("Accept-Encoding") == true)
            for asked in ["gzip", "gzip, deflate", "br, gzip;q=0.5"] {
                let packed = try client.sql(
                    statement, "&format=csv", headers: ["Accept-Encoding": asked])
                #expect(packed.headers["content-encoding"] == "gzip", "\(asked)")
                #expect(inflated(packed.body) == plain.body, "\(asked): \(statement)")
            }
            for asked in ["identity", "gzip;q=0", "deflate"] {
                let answer = try client.sql(
                    statement, "&format=csv", headers: ["Accept-Encoding": asked])
                #expect(answer.headers["content-encoding"] == nil, "\(asked)")
            }
        }
        withExtendedLifetime(server) {}
    }

    /// The last row leaves the range of int64, long after the first rows are out.
    @Test func `an error after the first byte is the last member, the last line or a broken body`()
        throws
    {
        let server = try TestServer()
        let client = try server.connect()
        var lines = (0..<40_000).map { "t v=1i,s=\"some text to fill a line\" \($0)\n" }.joined()
        lines += "t v=9223372036854775807i 40000\n"
        #expect(try client.request("POST", "/write", text: lines).status == 204)
        let statement = "SELECT time, s, v + 1 AS w FROM t"
        let json = try client.sql(statement)
        #expect(json.status == 200 && json.headers["transfer-encoding"] == "chunked")
        #expect(json.text.hasPrefix(#"{"columns":[{"name":"time","#))
        let error = #"],"error":{"code":"semantic","message":""#
        #expect(json.text.suffix(400).contains(error) && json.text.hasSuffix("}}\n"))
        #expect(!json.text.contains("row_count"))

        let ndjson = try client.sql(statement, "&format=ndjson").text.split(separator: "\n")
        #expect(ndjson.count > 1_000)
        #expect(ndjson.last?.hasPrefix(#"{"error":{"code":"semantic","#) == true)
        #expect(ndjson.dropLast().allSatisfy { $0.hasPrefix(#"{"time":"#) })

        let broken = try server.connect()
        #expect(throws: ClientFault.self) { try broken.sql(statement, "&format=csv") }
        // Without a byte out the same error has a status.
        #expect(try client.sql(statement + " ORDER BY w").status == 400)
        withExtendedLifetime(server) {}
    }
    @Test func `a notice says which of a tag and a field of one name is meant`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let line = #"p,type=lxc type="kvm",time=5i,used=1 1"#
        #expect(try client.request("POST", "/write", text: line).status == 204)
        func warnings(_ statement: String, _ more: String = "") throws -> String {
            let answer = try client.sql(statement, more)
            #expect(answer.status == 200, "\(statement): \(answer.text)")
            return try answer.part(from: #","warnings":["#, to: #"],"stats""#)
        }
        let type = #""`type` of `p` is a tag; the field written so is `type_1`""#
        let time = #""`time` of `p` is the timestamp; the field written so is `time_1`""#
        for statement in [
            "SELECT type FROM p", "SELECT type_1 FROM p", "SELECT type, type_1 AS x FROM p",
            "SELECT used FROM p WHERE type = 'lxc'", "SELECT max(used) FROM p GROUP BY type",
            "SELECT used FROM p ORDER BY type_1", "SELECT p.type FROM p",
        ] { #expect(try warnings(statement) == type, "\(statement)") }
        #expect(try warnings("SELECT time_1 FROM p") == time)
        #expect(try warnings("SELECT * FROM p") == "\(type),\(time)")
        // Nothing is left open here.
        for statement in [
            #"SELECT time, used, "type"::tag, "type"::field AS f, "time"::field AS t FROM p"#,
            #"SELECT used AS type FROM p ORDER BY type"#, "SELECT count(*) FROM p",
        ] { #expect(try warnings(statement) == "", "\(statement)") }
        // The answer is whole: no reason for `strict` to refuse it.
        #expect(try warnings("SELECT type FROM p", "&strict=1") == type)
        withExtendedLifetime(server) {}
    }
}
