// Names compare by their bytes. Swift's `String` also takes an “é” of one scalar for an “é” of two;
// senders mean what they wrote, and a series key holds it.

/// A name as a dictionary's key.
package struct NameKey: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (left: NameKey, right: NameKey) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    package func hash(into hasher: inout Hasher) {
        // Safe: the bytes are the string's, lent for the call.
        let isDone: Void? = text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if isDone == nil { for byte in text.utf8 { hasher.combine(byte) } }
        // No name holds this byte: names hashed in a row stay apart.
        hasher.combine(UInt8(0xFF))
    }
}

extension String {
    /// Whether the two are one name.
    package func hasSameBytes(as other: String) -> Bool {
        // The first comparison is the quick one, and false only where the second is.
        self == other && utf8.elementsEqual(other.utf8)
    }
}
