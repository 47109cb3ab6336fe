import ApusStorage
import ApusTestKit
import Testing

/// Against a set of numbers.
@Suite("Sets of series") struct SeriesSetTests {
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func `they say what a set of numbers says`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let capacity = 1 + random.below([5, 64, 65, 300, 1_000][random.below(5)])
        var set = SeriesSet(capacity: capacity)
        var plain: Set<Int> = []
        func range() -> Range<Int> {
            let first = random.below(capacity)
            return first..<(first + random.below(capacity + 70 - first))
        }
        for _ in 0..<60 {
            switch random.below(6) {
            case 0, 1:
                let ids = range()
                set.insert(ids: ids)
                plain.formUnion(ids.filter { $0 < capacity })
            case 2:
                let id = random.below(capacity)
                set.insert(UInt32(id))
                plain.insert(id)
            case 3:
                let id = random.below(capacity)
                set.remove(UInt32(id))
                plain.remove(id)
            case 4 where random.oneIn(3):
                let id = random.below(capacity + 10)
                set.remove(below: id)
                plain = plain.filter { $0 >= id }
            default:
                var other = SeriesSet(capacity: capacity)
                let ids = range()
                other.insert(ids: ids)
                #expect(set.intersects(other) == !plain.isDisjoint(with: ids))
                if random.oneIn(2) {
                    set.subtract(other)
                    plain.subtract(ids)
                }
            }
            #expect(set.members.map(Int.init) == plain.sorted())
            #expect(set.runs.flatMap { $0 } == plain.sorted())
            #expect(
                zip(set.runs, set.runs.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
            let ids = range()
            guard let last = ids.last else { continue }
            #expect(
                set.intersects(UInt32(ids.lowerBound), UInt32(last)) == !plain.isDisjoint(with: ids)
            )
            #expect(set.covers(ids) == plain.isSuperset(of: ids))
        }
    }
}
