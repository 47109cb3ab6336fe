import ApusIngest
import ApusStorage
import Testing

@Suite struct LineParserTests {
    @Test func `lines become rows of their shape`() {
        let input = """
            cpu,host=a,az=1 usage=1.5,count=3i 100
            cpu,az=1,host=a usage=2.5,count=4i 200
            mem,host=a free=7u,ok=true,name="x y" 300

            """
        let rows = BatchRows.rows(parse(Array(input.utf8)))
        #expect(
            rows == [
                "1 cpu {az=1,host=a} {count=i3,usage=f1.5} 100",
                "2 cpu {az=1,host=a} {count=i4,usage=f2.5} 200",
                "3 mem {host=a} {free=u7,name=\"x y\",ok=true} 300",
            ])
    }
}
