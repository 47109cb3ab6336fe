// The loops over packed and unpacked integers. The layouts are drawn in BitPacking.swift.
#include "apus_kernels.h"
#include "wide.h"
#include <string.h>

// The compiler splits these into what the instruction set has.
typedef uint64_t eight __attribute__((vector_size(64), aligned(8), may_alias));
typedef uint64_t four __attribute__((vector_size(32), aligned(8), may_alias));

static inline uint64_t load64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

// Eight numbers take `width` bytes, so that each row of eight begins at a byte. Up to 8 bits they
// share a load of 64 bits, up to 16 bits four do.
WIDE void apus_unpack_rows(const void *packed, size_t rows, unsigned width, uint64_t base,
                           uint64_t *numbers) {
    const uint8_t *from = packed;
    const uint64_t keep = width < 64 ? ((uint64_t)1 << width) - 1 : ~(uint64_t)0;
    if (width <= 8) {
        const eight steps = {0, 1, 2, 3, 4, 5, 6, 7};
        const eight shifts = steps * width;
        for (size_t row = 0; row < rows; row++, from += width, numbers += 8)
            *(eight *)numbers = ((load64(from) >> shifts) & keep) + base;
    } else if (width <= 16) {
        const four steps = {0, 1, 2, 3};
        const four low_shifts = steps * width;
        const four high_shifts = low_shifts + (width * 4 & 7);
        for (size_t row = 0; row < rows; row++, from += width, numbers += 8) {
            *(four *)numbers = ((load64(from) >> low_shifts) & keep) + base;
            *(four *)(numbers + 4) =
                ((load64(from + width / 2) >> high_shifts) & keep) + base;
        }
    } else if (width <= 57) {
        const eight steps = {0, 1, 2, 3, 4, 5, 6, 7};
        const eight shifts = steps * width & 7;
        for (size_t row = 0; row < rows; row++, from += width, numbers += 8) {
            const eight words = {
                load64(from),
                load64(from + (width >> 3)),
                load64(from + (width * 2 >> 3)),
                load64(from + (width * 3 >> 3)),
                load64(from + (width * 4 >> 3)),
                load64(from + (width * 5 >> 3)),
                load64(from + (width * 6 >> 3)),
                load64(from + (width * 7 >> 3)),
            };
            *(eight *)numbers = ((words >> shifts) & keep) + base;
        }
    } else {
        for (size_t row = 0; row < rows; row++, from += width, numbers += 8) {
            for (unsigned i = 0; i < 8; i++) {
                const uint8_t *at = from + (i * width >> 3);
                const unsigned shift = i * width & 7;
                // Two shifts, since the sum is 64 when `shift` is 0.
                const uint64_t high = ((uint64_t)at[8] << 1) << (63 - shift);
                numbers[i] = (((load64(at) >> shift) | high) & keep) + base;
            }
        }
    }
}

static inline void store64(uint8_t *p, uint64_t word) { memcpy(p, &word, 8); }

// Eight numbers put together in pieces of 8, 4, 2 or 1 of them, as many as fit into a word.
static inline void pack_pieces(const uint64_t *pieces, unsigned count, unsigned width, uint8_t *to) {
    uint64_t pending = 0;
    unsigned filled = 0;
    for (unsigned i = 0; i < count; i++) {
        pending |= pieces[i] << filled;
        if (filled + width >= 64) {
            store64(to, pending);
            to += 8;
            pending = filled ? pieces[i] >> (64 - filled) : 0;
            filled += width - 64;
        } else {
            filled += width;
        }
    }
    if (filled > 0) store64(to, pending);
}

WIDE void apus_pack_rows(const uint64_t *numbers, size_t rows, unsigned width, uint64_t flip,
                         void *packed) {
    uint8_t *to = packed;
    const eight steps = {0, 1, 2, 3, 4, 5, 6, 7};
    const eight shifts = width <= 8 ? steps * width : width <= 16 ? (steps & 3) * width
                                                                  : (steps & 1) * width;
    for (size_t row = 0; row < rows; row++, numbers += 8, to += width) {
        const eight values = *(const eight *)numbers ^ flip;
        if (width > 32) {
            const union { eight vector; uint64_t words[8]; } single = {values};
            pack_pieces(single.words, 8, width, to);
            continue;
        }
        const eight shifted = values << shifts;
        const eight pairs = shifted | __builtin_shufflevector(shifted, shifted, 1, 0, 3, 2, 5, 4, 7, 6);
        if (width > 16) {
            const uint64_t pieces[] = {pairs[0], pairs[2], pairs[4], pairs[6]};
            pack_pieces(pieces, 4, width * 2, to);
            continue;
        }
        const eight fours = pairs | __builtin_shufflevector(pairs, pairs, 2, 3, 0, 1, 6, 7, 4, 5);
        if (width > 8) {
            const uint64_t pieces[] = {fours[0], fours[4]};
            pack_pieces(pieces, 2, width * 4, to);
            continue;
        }
        store64(to, fours[0] | fours[4]);
    }
}

WIDE void apus_unpack_group(const void *packed, unsigned width, uint64_t base, uint64_t *numbers) {
    const uint64_t keep = width < 64 ? ((uint64_t)1 << width) - 1 : ~(uint64_t)0;
    const eight *word = packed;
    eight low = word[0], high = word[1];
    unsigned used = 0;
    for (int row = 0; row < 64; row++, numbers += 16) {
        eight low_value = low >> used, high_value = high >> used;
        used += width;
        if (used >= 64) {
            used -= 64;
            if (row < 63) {
                word += 2;
                low = word[0];
                high = word[1];
            }
            if (used > 0) {
                low_value |= low << (width - used);
                high_value |= high << (width - used);
            }
        }
        *(eight *)numbers = (low_value & keep) + base;
        *(eight *)(numbers + 8) = (high_value & keep) + base;
    }
}

// Sums inside of four numbers first, so that only one addition waits for the four before.
WIDE void apus_running_sums(uint64_t *numbers, size_t count, uint64_t sum) {
    const four zero = {0, 0, 0, 0};
    four before = {sum, sum, sum, sum};
    size_t i = 0;
#pragma clang loop unroll_count(4)
    for (; i + 4 <= count; i += 4) {
        four local = *(four *)(numbers + i);
        local += __builtin_shufflevector(local, zero, 4, 0, 4, 2);
        local += __builtin_shufflevector(local, zero, 4, 4, 1, 1);
        *(four *)(numbers + i) = local + before;
        before += __builtin_shufflevector(local, local, 3, 3, 3, 3);
    }
    sum = before[0];
    for (; i < count; i++) numbers[i] = sum += numbers[i];
}

WIDE void apus_int64_range(const int64_t *values, size_t count, int64_t *low, int64_t *high) {
    int64_t smallest = values[0], largest = values[0];
    for (size_t i = 1; i < count; i++) {
        smallest = values[i] < smallest ? values[i] : smallest;
        largest = values[i] > largest ? values[i] : largest;
    }
    *low = smallest;
    *high = largest;
}

WIDE void apus_differences(const uint64_t *numbers, size_t count, uint64_t slope,
                           uint64_t *differences) {
    for (size_t i = 1; i < count; i++) differences[i - 1] = numbers[i] - numbers[i - 1] - slope;
}

typedef struct {
    const uint64_t *numbers;
    uint64_t slope;
    unsigned low_bits;
} line;

static inline uint64_t distance_from(const line *l, size_t i) {
    return l->numbers[i] - l->numbers[0] - l->slope * i;
}

// Modulo 2^64.
static inline int64_t difference_at(const line *l, size_t i) {
    const int64_t high = (int64_t)distance_from(l, i) >> l->low_bits;
    const int64_t before = (int64_t)distance_from(l, i - 1) >> l->low_bits;
    return (int64_t)((uint64_t)high - (uint64_t)before);
}

static inline int is_large(int64_t difference) { return (uint64_t)difference + 15 > 30; }

WIDE size_t apus_split_differences(const uint64_t *numbers, size_t count, uint64_t slope,
                                   unsigned low_bits, int8_t *differences, uint64_t *lows,
                                   uint32_t *large) {
    const line l = {numbers, slope, low_bits};
    const uint64_t keep = ((uint64_t)1 << low_bits) - 1;
    size_t total = 0;
    for (size_t start = 1; start < count; start += 64) {
        const size_t end = count - start < 64 ? count : start + 64;
        uint64_t found = 0;
        for (size_t i = start; i < end; i++) {
            const int64_t difference = difference_at(&l, i);
            lows[i - 1] = distance_from(&l, i) & keep;
            differences[i - 1] = is_large(difference) ? 0 : (int8_t)difference;
            found += is_large(difference);
        }
        for (size_t i = start; found > 0 && i < end; i++)
            if (is_large(difference_at(&l, i))) large[total++] = (uint32_t)i;
    }
    return total;
}

WIDE size_t apus_split_distances(const uint64_t *numbers, size_t count, uint64_t base, uint64_t mask,
                                 uint64_t *distances, uint32_t *outside) {
    size_t total = 0;
    for (size_t start = 0; start < count; start += 64) {
        const size_t end = count - start < 64 ? count : start + 64;
        uint64_t all = 0;
        for (size_t i = start; i < end; i++) {
            distances[i] = numbers[i] - base;
            all |= distances[i];
        }
        if ((all & ~mask) == 0) continue;
        for (size_t i = start; i < end; i++)
            if (distances[i] & ~mask) outside[total++] = (uint32_t)i;
    }
    return total;
}

// By turns in four tables: a count would wait for the one before, mostly of the same number.
void apus_count_bytes(const uint64_t *numbers, size_t count, uint64_t low, int32_t *counts) {
    int32_t tables[4][256] = {{0}};
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int turn = 0; turn < 4; turn++) tables[turn][(uint8_t)(numbers[i + turn] - low)]++;
    for (; i < count; i++) tables[0][(uint8_t)(numbers[i] - low)]++;
    for (int value = 0; value < 256; value++)
        counts[value] = tables[0][value] + tables[1][value] + tables[2][value] + tables[3][value];
}

WIDE void apus_multiply(uint64_t *numbers, size_t count, uint64_t factor, uint64_t origin) {
    for (size_t i = 0; i < count; i++) numbers[i] = numbers[i] * factor + origin;
}

// Through doubles, since no vector divides integers: below 2^51 the quotient's double is near enough to
// be rounded to the right integer, and a product tells whether it is.
WIDE int apus_divide_exactly(const uint64_t *numbers, size_t count, uint64_t factor, uint64_t origin,
                             uint64_t *quotients) {
    const uint64_t limit = (uint64_t)1 << 51, magic_bits = 0x4338000000000000;
    const double magic = 6755399441055744.0, inverse = 1 / (double)factor;
    uint64_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t distance = numbers[i] - origin;
        wrong |= (distance + limit) >> 52;
        const union { uint64_t bits; double value; } shifted = {distance + magic_bits};
        const union { double value; uint64_t bits; } sum = {(shifted.value - magic) * inverse + magic};
        const uint64_t quotient = sum.bits - magic_bits;
        wrong |= quotient * factor ^ distance;
        quotients[i] = quotient;
    }
    return wrong == 0;
}

WIDE size_t apus_count_outside(const uint64_t *numbers, size_t count, uint64_t base, uint64_t mask) {
    eight outside = {0};
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        outside -= (eight)(((*(const eight *)(numbers + i) - base) & ~mask) != 0);
    size_t total = 0;
    for (int lane = 0; lane < 8; lane++) total += outside[lane];
    for (; i < count; i++) total += ((numbers[i] - base) & ~mask) != 0;
    return total;
}

WIDE void apus_int64_summary(const int64_t *values, size_t count, int64_t *low, int64_t *high,
                             uint64_t *sum) {
    int64_t smallest = values[0], largest = values[0];
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        smallest = values[i] < smallest ? values[i] : smallest;
        largest = values[i] > largest ? values[i] : largest;
        total += (uint64_t)values[i];
    }
    *low = smallest;
    *high = largest;
    *sum = total;
}
