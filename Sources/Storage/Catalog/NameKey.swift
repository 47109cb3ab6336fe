// Names compare by their bytes. Swift's `String` also takes an “é” of one scalar for an “é” of two;
// senders mean what they wrote, and a series key holds it.

/// A name as a dictionary's key.
package struct NameKey: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (left: NameKey, right: NameKey) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    /// Equal bytes are equal strings, so the string's own hash serves; spellings that only Unicode
    /// equates share it, and `==` tells them apart.
    package func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

extension String {
    /// Whether the two are one name.
    package func hasSameBytes(as other: String) -> Bool {
        // The first comparison is the quick one, and false only where the second is.
        self == other && utf8.elementsEqual(other.utf8)
    }
}
