// Comparisons of a column with a constant, or of codes with a set, as bits: eight values or 64 codes at a
// time.
#include "apus_kernels.h"
#include "wide.h"
#include <string.h>

typedef int64_t integers __attribute__((vector_size(64), aligned(8), may_alias));
typedef double doubles __attribute__((vector_size(64), aligned(8), may_alias));
typedef _Bool flags __attribute__((ext_vector_type(8)));

// The bits of `count` values of which eight at a time are compared by `HITS`, an expression of `v`.
#define FILTER(name, vector, scalar, HITS) \
    WIDE static void name(const scalar *values, size_t count, scalar c, uint8_t *bits) {           \
        size_t i = 0;                       \
        for (; i + 8 <= count; i += 8) {    \
            const vector v = *(const vector *)(values + i);                                        \
            const flags hits = __builtin_convertvector((integers)(HITS), flags);                   \
            memcpy(bits + i / 8, &hits, 1); \
        }                                   \
        if (i == count) return;             \
        vector v = {0};                     \
        memcpy(&v, values + i, (count - i) * 8);                                                   \
        const flags hits = __builtin_convertvector((integers)(HITS), flags);                       \
        memcpy(bits + i / 8, &hits, 1);     \
    }

FILTER(integers_less, integers, int64_t, v < c)
FILTER(integers_equal, integers, int64_t, v == c)
FILTER(integers_greater, integers, int64_t, v > c)
// The smallest number is the largest without a sign, and so on.
FILTER(naturals_less, integers, int64_t, (v ^ INT64_MIN) < (c ^ INT64_MIN))
FILTER(naturals_greater, integers, int64_t, (v ^ INT64_MIN) > (c ^ INT64_MIN))
FILTER(doubles_less, doubles, double, v < c)
FILTER(doubles_equal, doubles, double, v == c)
// NaN lies above all numbers.
FILTER(doubles_greater, doubles, double, ~(integers)(v <= c))

void apus_filter(const uint64_t *values, size_t count, apus_number_type type, apus_order order,
                 uint64_t constant, uint64_t *bits) {
    uint8_t *out = (uint8_t *)bits;
    const int64_t *integers = (const int64_t *)values;
    if (type == APUS_FLOAT64) {
        double number;
        memcpy(&number, &constant, 8);
        const double *doubles = (const double *)values;
        if (order == APUS_LESS) doubles_less(doubles, count, number, out);
        if (order == APUS_EQUAL) doubles_equal(doubles, count, number, out);
        if (order == APUS_GREATER) doubles_greater(doubles, count, number, out);
        return;
    }
    const int64_t number = (int64_t)constant;
    if (order == APUS_EQUAL) {
        integers_equal(integers, count, number, out);
    } else if (type == APUS_INT64) {
        (order == APUS_LESS ? integers_less : integers_greater)(integers, count, number, out);
    } else {
        (order == APUS_LESS ? naturals_less : naturals_greater)(integers, count, number, out);
    }
}

typedef _Bool flags64 __attribute__((ext_vector_type(64)));

#define MATCH(name, code_type) \
    WIDE static void name(const code_type *codes, size_t count, code_type code, uint64_t *bits) {    \
        typedef code_type lanes __attribute__((                                                      \
            vector_size(64 * sizeof(code_type)), aligned(sizeof(code_type)), may_alias));            \
        size_t i = 0;                         \
        for (; i + 64 <= count; i += 64) {    \
            const lanes v = *(const lanes *)(codes + i);                                             \
            const flags64 hits = __builtin_convertvector(v == code, flags64);                        \
            uint64_t word;                    \
            memcpy(&word, &hits, 8);          \
            bits[i / 64] |= word;             \
        }                                     \
        for (; i < count; i++) bits[i / 64] |= (uint64_t)(codes[i] == code) << (i % 64);             \
    }

MATCH(match_bytes, uint8_t)
MATCH(match_halves, uint16_t)
MATCH(match_words, uint32_t)

void apus_match_codes(const void *codes, unsigned width, size_t count, uint32_t code, uint64_t *bits) {
    if (width == 1 && code <= UINT8_MAX) match_bytes(codes, count, (uint8_t)code, bits);
    if (width == 2 && code <= UINT16_MAX) match_halves(codes, count, (uint16_t)code, bits);
    if (width == 4) match_words(codes, count, code, bits);
}

#define SELECT(name, code_type) \
    WIDE static void name(const code_type *codes, size_t count, const uint64_t *set, uint32_t set_count, \
                          uint64_t *bits) {   \
        for (size_t i = 0; i < count; i += 64) {                                                     \
            const size_t n = count - i < 64 ? count - i : 64;                                        \
            uint64_t word = 0;                \
            for (size_t j = 0; j < n; j++) {  \
                const uint32_t code = codes[i + j] < set_count ? codes[i + j] : set_count;           \
                word |= (set[code / 64] >> (code % 64) & 1) << j;                                    \
            }                                 \
            bits[i / 64] |= word;             \
        }                                     \
    }

SELECT(select_bytes, uint8_t)
SELECT(select_halves, uint16_t)
SELECT(select_words, uint32_t)

void apus_select_codes(const void *codes, unsigned width, size_t count, const uint64_t *set,
                       uint32_t set_count, uint64_t *bits) {
    if (width == 1) select_bytes(codes, count, set, set_count, bits);
    if (width == 2) select_halves(codes, count, set, set_count, bits);
    if (width == 4) select_words(codes, count, set, set_count, bits);
}
