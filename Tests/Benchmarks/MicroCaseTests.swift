// The micro-benchmarks at small size: each still does what its name says.

import ApusBenchmarkCases
import Testing

@Suite struct MicroCaseTests {
    @Test func `names are a layer, an operation and a data set, and differ`() {
        let names = MicroCase.all.map(\.name)
        #expect(Set(names).count == names.count)
        for name in names {
            #expect(name.wholeMatch(of: /[a-z]+\.[a-z-]+\.[a-z0-9-]+/) != nil, "\(name)")
        }
    }

    @Test func `every case has its hash here, and nothing else has`() {
        #expect(Set(MicroCase.all.map(\.name)) == Set(Self.hashes.keys))
    }

    @Test(arguments: MicroCase.all.map(\.name))
    func `a case yields what it always did, and again`(name: String) throws {
        let item = try #require(MicroCase.all.first { $0.name == name })
        let prepared = try item.prepare(.small)
        #expect(prepared.itemCount > 0)
        let first = try prepared.resultHash()
        #expect(first == Self.hashes[name], "\(name) yields 0x\(String(first, radix: 16))")
        try prepared.run()
        #expect(try prepared.resultHash() == first)
    }

    /// Both hash the values: those encoded and decoded again, and those decoded.
    @Test func `encoding and decoding agree on every data set`() throws {
        let sets = MicroCase.all.map(\.name).filter { $0.hasPrefix("codec.encode.") }
            .map { $0.dropFirst("codec.encode.".count) }
        #expect(sets.count > 5)
        for set in sets {
            #expect(Self.hashes["codec.encode.\(set)"] == Self.hashes["codec.decode.\(set)"])
        }
    }

    /// Of the results, at small size. They change with the cases, and with what a result is: never
    /// because something became faster.
    private static let hashes: [String: UInt64] = [
        "codec.encode.coded-walk": 0x309E_2F6B_42E5_2246,
        "codec.decode.coded-walk": 0x309E_2F6B_42E5_2246,
        "codec.encode.coded-decimals": 0xDA77_937A_34CE_811F,
        "codec.decode.coded-decimals": 0xDA77_937A_34CE_811F,
        "codec.flush.integer-walk": 0x4FDF_79BB_FA3F_A56A,
        "codec.flush.integer-noise": 0xB103_D9E7_1BCE_D333,
        "codec.flush.decimal-walk": 0xE26D_F024_A1B9_3F03,
        "codec.sum.integer-walk": 0x905F_F19C_7F51_4E90,
        "codec.encode.times-regular": 0x4A98_1005_0477_61B6,
        "codec.decode.times-regular": 0x4A98_1005_0477_61B6,
        "codec.encode.times-jittered": 0x1751_FC4F_24E0_DE77,
        "codec.decode.times-jittered": 0x1751_FC4F_24E0_DE77,
        "codec.encode.integer-walk": 0x309E_2F6B_42E5_2246,
        "codec.decode.integer-walk": 0x309E_2F6B_42E5_2246,
        "codec.encode.integer-noise": 0x8038_89F9_C54C_5B33,
        "codec.decode.integer-noise": 0x8038_89F9_C54C_5B33,
        "codec.encode.decimal-walk": 0xDA77_937A_34CE_811F,
        "codec.decode.decimal-walk": 0xDA77_937A_34CE_811F,
        "codec.encode.double-plateaus": 0xF4B6_5976_B3B5_D175,
        "codec.decode.double-plateaus": 0xF4B6_5976_B3B5_D175,
        "codec.encode.constant": 0xC396_890F_1A28_A325,
        "codec.decode.constant": 0xC396_890F_1A28_A325,
        "codec.encode.booleans": 0xDD78_F2F4_A2E7_FC24,
        "codec.decode.booleans": 0xDD78_F2F4_A2E7_FC24,
        "codec.encode.states": 0xD095_3F49_A3EF_9E6F,
        "codec.decode.states": 0xD095_3F49_A3EF_9E6F,
        "codec.checksum.pages-4k": 0x56D0_9795_0C8F_0E5F,
        "codec.checksum.pages-in-memory": 0x56D0_9795_0C8F_0E5F,
        "log.append.batches": 0x6AC9_FD10_F618_B8FD,
        "log.replay.batches": 0x6AC9_FD10_F618_B8FD,
        "parser.parse.cpu-only": 0x3033_4C9C_0F14_AE23,
        "parser.parse.decimals": 0x05F8_2D52_D056_5F2E,
        "parser.parse.mixed-escapes": 0x872D_4B41_6B14_4BA4,
        "index.resolve.new-series": 0xF95A_DB79_BCB0_2A0A,
        "index.resolve.known-series": 0xF95A_DB79_BCB0_2A0A,
        "index.select.equality": 0xC98E_31F2_0C8A_F2E0,
        "index.select.regex": 0x0D50_AFD4_02F5_EAA8,
        "index.select.negation": 0xAA95_584A_9C9A_A9BC,
        "scan.one-series.head": 0x2EED_4FFB_427D_8170,
        "scan.sum-one-field.head": 0xF1BF_C4CA_5CD9_BBA4,
        "scan.one-series.segment": 0x2EED_4FFB_427D_8170,
        "scan.sum-one-field.segment": 0xF1BF_C4CA_5CD9_BBA4,
        "segment.verify.cpu-only": 0x6925_58B0_5610_1A44,
        "filter.greater.integers": 0x8391_1392_706B_487E,
        "filter.greater.decimals": 0xD660_7508_F5A1_E855,
        "query.average-by-host-hour.head": 0xEF9F_62FD_FE6C_7D61,
        "query.average-by-host-hour.segment": 0xEF9F_62FD_FE6C_7D61,
        "query.count-above.head": 0xE5AC_91BF_E8E9_FD5C,
        "query.count-above.segment": 0xE5AC_91BF_E8E9_FD5C,
    ]
}
