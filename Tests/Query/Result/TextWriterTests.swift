import ApusQuery
import Foundation
import Testing

@Suite("Strings as JSON") struct TextWriterTests {
    /// Whatever bytes, in whatever place of a word, a reader gets the same text back.
    @Test func `every character in every place reads back`() throws {
        for scalar in (0...0x17F).compactMap(Unicode.Scalar.init(_:)) + ["🦜"] {
            for length in [0, 1, 7, 8, 9, 15, 16, 36] {
                for place in 0...length {
                    var text = String(repeating: "-a0Z~ ", count: 6).prefix(length).description
                    text.insert(Character(scalar), at: text.index(text.startIndex, offsetBy: place))
                    let writer = TextWriter()
                    Array(text.utf8).withUnsafeBytes { writer.jsonString($0) }
                    let data = Data("[".utf8) + Data(writer.bytes) + Data("]".utf8)
                    let read = try JSONSerialization.jsonObject(with: data) as? [String]
                    #expect(read == [text])
                }
            }
        }
    }
}
