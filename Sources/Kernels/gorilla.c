// The loop that decodes XORs of doubles. The bits are drawn in GorillaCodec.swift.
#include "apus_kernels.h"
#include "wide.h"
#include <string.h>

// At least 57 bits from a position on, low bits first.
static inline uint64_t peek(const uint8_t *bytes, size_t position) {
    uint64_t word;
    memcpy(&word, bytes + (position >> 3), 8);
    return word >> (position & 7);
}

// All 64.
static inline uint64_t peek64(const uint8_t *bytes, size_t position) {
    const uint64_t next = bytes[(position >> 3) + 8];
    return peek(bytes, position) | next << 1 << (63 - (position & 7));
}

// New windows are rare; whether a double repeats the one before is anyone's guess, so no branch
// depends on it, and the flags lie apart so that the next place is known before the bits are.
WIDE int apus_decode_xors(const void *flags, size_t flag_count, const void *packed, size_t bit_count,
                          size_t count, uint64_t first, uint64_t *values) {
    const uint8_t *bytes = packed;
    // Without a window nothing differs.
    uint64_t value = first, mask = 0, window = 0, trailing = 0;
    size_t flag = 0, position = 0;
    values[0] = first;
    for (size_t i = 1; i < count;) {
        if (flag > flag_count || position > bit_count) return 0;
        uint64_t next = peek(flags, flag);
        const size_t end = count - i < APUS_XORS_STEP ? count : i + APUS_XORS_STEP;
        flag += end - i;
        for (; i < end; i++) {
            const uint64_t differs = next & 1;
            if ((next & 3) == 3) {
                const uint64_t head = peek(bytes, position);
                window = (head >> 5 & 63) + 1;
                if ((head & 31) + window > 64) return 0;
                trailing = 64 - (head & 31) - window;
                mask = ~(uint64_t)0 >> (64 - window);
                position += 11;
            }
            value ^= (peek64(bytes, position) & mask & -differs) << trailing;
            position += window & -differs;
            next = next >> 1 >> differs;
            flag += differs;
            values[i] = value;
        }
    }
    return (flag + 7) / 8 == (flag_count + 7) / 8 && flag <= flag_count &&
           (position + 7) / 8 == (bit_count + 7) / 8 && position <= bit_count &&
           ((flag & 7) == 0 || ((const uint8_t *)flags)[flag >> 3] >> (flag & 7) == 0) &&
           ((position & 7) == 0 || bytes[position >> 3] >> (position & 7) == 0);
}
