// The ten tags of a host in the public TSBS use cases; the tags are correlated as there.

enum HostTags {
    /// `hostname=host_0,region=…`, as they stand in a line.
    static func text(host: Int, _ random: inout WorkloadRandom) -> String {
        let (region, dataCentreCount) = regions[random.below(regions.count)]
        let dataCentre = random.below(dataCentreCount)
        let letter = ["a", "b", "c", "d", "e"][dataCentre]
        var text = "hostname=host_\(host),region=\(region),datacenter=\(region)\(letter)"
        text += ",rack=\(random.below(100))"
        text += ",os=\(random.choose(["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"]))"
        text += ",arch=\(random.choose(["x64", "x86"]))"
        text += ",team=\(random.choose(["SF", "NYC", "LON", "CHI"]))"
        text += ",service=\(random.below(20)),service_version=\(random.below(2))"
        text += ",service_environment=\(random.choose(["production", "staging", "test"]))"
        return text
    }

    private static let regions: [(String, Int)] = [
        ("us-east-1", 5), ("us-west-1", 2), ("us-west-2", 3), ("eu-west-1", 3),
        ("eu-central-1", 2), ("ap-southeast-1", 2), ("ap-southeast-2", 2), ("ap-northeast-1", 2),
        ("sa-east-1", 3),
    ]
}
