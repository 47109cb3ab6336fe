// Line protocol by seed.

import ApusTestKit

struct LineInput {
    var bytes: [UInt8] = []
    var lineCount = 0
    var valueCount = 0

    /// A midnight, so that a few hours are one partition.
    private static let startSeconds = 1_700_006_400
    private static let fieldNames = [
        "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq",
        "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
    ]

    /// The shape of the public data set cpu-only: a measurement with ten tags and ten fields that
    /// walk between 0 and 100, a row a host every ten seconds.
    static func cpuOnly(hosts: Int, ticks: Int, isDecimal: Bool = false) -> LineInput {
        var random = SeededRandom(seed: 21)
        let prefixes = (0..<hosts).map { Array("cpu,\(tags(host: $0, &random))".utf8) }
        var levels = (0..<hosts * fieldNames.count).map { _ in random.below(10_001) }
        var input = LineInput()
        input.bytes.reserveCapacity(hosts * ticks * 400)
        for tick in 0..<ticks {
            let time = "\(startSeconds + tick * 10)000000000\n"
            for host in 0..<hosts {
                input.bytes += prefixes[host]
                for (field, name) in fieldNames.enumerated() {
                    let place = host * fieldNames.count + field
                    let level = min(10_000, max(0, levels[place] + random.step(bits: 64) * 25))
                    levels[place] = level
                    let value = isDecimal ? decimal(level) : "\(level / 100)i"
                    input.bytes += Array("\(field == 0 ? " " : ",")\(name)=\(value)".utf8)
                }
                input.bytes.append(UInt8(ascii: " "))
                input.bytes += Array(time.utf8)
            }
        }
        input.lineCount = hosts * ticks
        input.valueCount = input.lineCount * fieldNames.count
        return input
    }

    private static func decimal(_ hundredths: Int) -> String {
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    private static func tags(host: Int, _ random: inout SeededRandom) -> String {
        let regions = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"]
        let region = regions[random.below(regions.count)]
        return "hostname=host_\(host),region=\(region),datacenter=\(region)a"
            + ",rack=\(random.below(100)),os=Ubuntu16.04LTS,arch=x64"
            + ",team=\(["SF", "NYC", "LON", "CHI"][random.below(4)])"
            + ",service=\(random.below(20)),service_version=\(random.below(2))"
            + ",service_environment=\(["production", "staging", "test"][random.below(3)])"
    }

    /// What the fast path doesn't take: escapes, strings, every type, comments, lines without a
    /// time, and one malformed line among twenty.
    static func mixed(lines: Int) -> LineInput {
        var random = SeededRandom(seed: 22)
        var text = ""
        var input = LineInput()
        for line in 0..<lines {
            let disk = random.below(50)
            let time = startSeconds + line
            switch line % 20 {
            case 0: text += "# taken from a log\n"
            case 1: text += "disk,path=/var used=\(disk)x \(time)000000000\n"
            case 2...6:
                text += "disk\\ io,path=C:\\ Program\\ Files,label=a\\,b\\=\(disk) "
                text += "read=\(random.below(100_000))u,write=-\(disk)i \(time)000000000\n"
                input.valueCount += 2
            case 7...11:
                text += "log,host=web\(disk),level=warn message=\"said \\\"no\\\" to \(disk)\""
                text += ",retry=\(disk % 2 == 0) \(time)000000000\n"
                input.valueCount += 2
            case 12...15:
                text += "sensor,id=\(disk) temperature=-\(disk).5e-1,pressure=1.01325E+5\n"
                input.valueCount += 2
            default:
                text += "sensor,id=\(disk),site=Zürich\\ Süd humidity=\(disk).123456789012345,ok=t "
                text += "\(time)000000000\n"
                input.valueCount += 2
            }
        }
        input.lineCount = lines
        input.bytes = Array(text.utf8)
        return input
    }
}
