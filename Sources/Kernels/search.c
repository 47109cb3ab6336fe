// Literals among the values of a tag.
#include "apus_kernels.h"
#include "wide.h"
#include <string.h>

typedef uint8_t bytes32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef _Bool flags32 __attribute__((ext_vector_type(32)));

// The first place from `start` on where the needle lies before `end`; `end` if there is none.
//
// Places where its first and its last byte fit are looked at: W. Mula, "SIMD-friendly algorithms for
// substring searching", 2016.
WIDE static size_t find(const uint8_t *bytes, size_t start, size_t end, const uint8_t *needle,
                        size_t count) {
    const uint8_t first = needle[0], last = needle[count - 1];
    size_t place = start;
    for (; place + 31 + count <= end; place += 32) {
        const bytes32 heads = *(const bytes32 *)(bytes + place);
        const bytes32 tails = *(const bytes32 *)(bytes + place + count - 1);
        const flags32 hits = __builtin_convertvector((heads == first) & (tails == last), flags32);
        uint32_t mask;
        memcpy(&mask, &hits, 4);
        for (; mask != 0; mask &= mask - 1) {
            const size_t hit = place + (size_t)__builtin_ctz(mask);
            if (memcmp(bytes + hit, needle, count) == 0) return hit;
        }
    }
    for (; place + count <= end; place++)
        if (bytes[place] == first && memcmp(bytes + place, needle, count) == 0) return place;
    return end;
}

void apus_find_in_values(const uint8_t *bytes, const uint32_t *ends, size_t first, size_t count,
                         const uint8_t *needle, size_t needle_count, uint8_t *found) {
    if (count == 0 || needle_count == 0) return;
    size_t value = first;
    size_t place = first == 0 ? 0 : ends[first - 1];
    const size_t end = ends[first + count - 1];
    while ((place = find(bytes, place, end, needle, needle_count)) < end) {
        while (ends[value] <= place) value++;
        if (place + needle_count <= ends[value]) {
            found[value - first] = 1;
            place = ends[value];
        } else {
            // Across the end of the value.
            place++;
        }
    }
}
