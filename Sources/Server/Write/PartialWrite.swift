// What a write answers when lines were refused, in words that clients look for.

package import ApusStorage
internal import NIOHTTP1

package enum PartialWrite {
    private static let linesNamedMax = 5

    package static func refusal(
        stored: Int, rejected: Int, rejections: [LineRejection], family: APIFamily
    ) -> Refusal {
        var refusal = Refusal(.badRequest, text(stored: stored, rejected: rejected, rejections))
        refusal.lines = rejections
        refusal.code = "partial_write"
        return refusal
    }

    package static func text(stored: Int, rejected: Int, _ rejections: [LineRejection]) -> String {
        if rejections.allSatisfy({ $0.kind == .retention }) {
            return
                "partial write: points beyond retention policy dropped=\(rejected) (is the precision right?)"
        }
        let named = rejections.prefix(linesNamedMax).map { rejection in
            let place = rejection.column > 0 ? ", column \(rejection.column)" : ""
            return "line \(rejection.line)\(place): \(rejection.reason)"
        }
        let list = named.joined(separator: "; ")
        if stored == 0, rejections.allSatisfy({ $0.kind == .malformed }) {
            return "unable to parse: \(list) dropped=\(rejected)"
        }
        return "partial write: \(list) dropped=\(rejected)"
    }
}
