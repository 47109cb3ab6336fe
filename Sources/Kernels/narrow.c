// The loops of a check over blocks whose numbers stay near each other: sixteen lanes of 16 bits
// where the general ones have four of 64. What may be done in 16 bits is said in NarrowFrame.swift.
#include "apus_kernels.h"
#include "wide.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef uint64_t eight __attribute__((vector_size(64), aligned(8), may_alias));
typedef uint64_t four __attribute__((vector_size(32), aligned(8), may_alias));
typedef uint16_t narrow4 __attribute__((vector_size(8), aligned(2), may_alias));
typedef int16_t lanes __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint16_t ulanes __attribute__((vector_size(32), aligned(2), may_alias));
typedef int32_t signed_halves __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint16_t unsigned8 __attribute__((vector_size(16), aligned(2), may_alias));
typedef int16_t narrow8 __attribute__((vector_size(16), aligned(2), may_alias));
typedef uint32_t quarters __attribute__((vector_size(16), aligned(2), may_alias));
typedef uint32_t halves __attribute__((vector_size(32), aligned(2), may_alias));

static inline uint64_t load64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

#if defined(__x86_64__)
// Up to 9 bits lie in two bytes, wherever they begin. The bytes go into the number's lane, a
// multiplication shifts each lane up by its own distance, one shift brings all down again.
enum { SHUFFLED_WIDTH_MAX = 9 };
static uint8_t places[SHUFFLED_WIDTH_MAX + 1][16];
static uint16_t factors[SHUFFLED_WIDTH_MAX + 1][8];
static int has_shuffle;

__attribute__((constructor)) static void make_shuffles(void) {
    __builtin_cpu_init();
    has_shuffle = __builtin_cpu_supports("avx2");
    for (unsigned width = 1; width <= SHUFFLED_WIDTH_MAX; width++) {
        for (unsigned i = 0; i < 8; i++) {
            places[width][2 * i] = (uint8_t)(i * width >> 3);
            places[width][2 * i + 1] = (uint8_t)((i * width >> 3) + 1);
            factors[width][i] = (uint16_t)(1 << (16 - width - (i * width & 7)));
        }
    }
}

__attribute__((target("avx2"))) static void unpack_shuffled(const uint8_t *from, size_t rows,
                                                            unsigned width, uint16_t base,
                                                            uint16_t *numbers) {
    const __m128i place = _mm_loadu_si128((const __m128i *)places[width]);
    const __m128i factor = _mm_loadu_si128((const __m128i *)factors[width]);
    const __m256i place2 = _mm256_set_m128i(place, place);
    const __m256i factor2 = _mm256_set_m128i(factor, factor);
    const __m256i base2 = _mm256_set1_epi16((short)base);
    const __m128i down = _mm_cvtsi32_si128((int)(16 - width));
    // An odd last row brings one more along, whose place in `numbers` its caller grants.
    for (size_t row = 0; row < rows; row += 2, from += 2 * width, numbers += 16) {
        const __m256i bytes = _mm256_loadu2_m128i((const __m128i *)(from + width),
                                                  (const __m128i *)from);
        const __m256i words = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, place2), factor2);
        _mm256_storeu_si256((__m256i *)numbers,
                            _mm256_add_epi16(_mm256_srl_epi16(words, down), base2));
    }
}
#endif

// As apus_unpack_rows does it for these widths.
WIDE static void unpack_rows(const uint8_t *from, size_t rows, unsigned width, uint16_t base,
                             uint16_t *numbers) {
    const uint64_t keep = ((uint64_t)1 << width) - 1;
    const four steps = {0, 1, 2, 3};
    const four low_shifts = steps * width;
    const four high_shifts = low_shifts + (width * 4 & 7);
    for (size_t row = 0; row < rows; row++, from += width, numbers += 8) {
        const four low = (load64(from) >> low_shifts) & keep;
        const four high = (load64(from + width / 2) >> high_shifts) & keep;
        *(narrow4 *)numbers = __builtin_convertvector(low, narrow4) + base;
        *(narrow4 *)(numbers + 4) = __builtin_convertvector(high, narrow4) + base;
    }
}

void apus_unpack_narrow_rows(const void *packed, size_t rows, unsigned width, uint16_t base,
                             uint16_t *numbers) {
#if defined(__x86_64__)
    if (has_shuffle && width <= SHUFFLED_WIDTH_MAX) {
        unpack_shuffled(packed, rows, width, base, numbers);
        return;
    }
#endif
    unpack_rows(packed, rows, width, base, numbers);
}

WIDE void apus_unpack_narrow_group(const void *packed, unsigned width, uint16_t base,
                                   uint16_t *numbers) {
    const uint64_t keep = ((uint64_t)1 << width) - 1;
    for (int half = 0; half < 2; half++) {
        const uint64_t *word = (const uint64_t *)packed + half * 8;
        uint16_t *to = numbers + half * 8;
        eight current = *(const eight *)word;
        unsigned used = 0;
        for (int row = 0; row < 64; row++, to += 16) {
            eight value = current >> used;
            used += width;
            if (used >= 64) {
                used -= 64;
                if (row < 63) {
                    word += 16;
                    current = *(const eight *)word;
                }
                if (used > 0) value |= current << (width - used);
            }
            *(unsigned8 *)to = __builtin_convertvector(value & keep, unsigned8) + base;
        }
    }
}

// Whole vectors, whatever lies behind the last code.
WIDE static void restore_codes(uint16_t *codes, size_t count, uint16_t bound, uint16_t base) {
    for (size_t i = 0; i < count; i += 16) {
        ulanes *at = (ulanes *)(codes + i);
        const ulanes is_below = -(*at & 1);
        *at = ((*at >> 1) ^ is_below) + (bound & ~is_below) + base;
    }
}

int apus_narrow_patch(uint16_t *numbers, size_t count, const uint16_t *positions, uint16_t *codes,
                      size_t exception_count, uint16_t bound, uint16_t base) {
    restore_codes(codes, exception_count, bound, base);
    uint16_t highest = 0;
    for (size_t i = 0; i < exception_count; i++) {
        const uint16_t position = positions[i];
        highest = position > highest ? position : highest;
        numbers[position] = codes[i];
    }
    return highest < count;
}

// By address: vectors of this size are no arguments without AVX.
typedef struct {
    lanes low, high;
    halves sums;
} summary;

static inline void take(const lanes *values, summary *so_far) {
    so_far->low = __builtin_elementwise_min(so_far->low, *values);
    so_far->high = __builtin_elementwise_max(so_far->high, *values);
    // The lower and the upper of each pair, with its sign.
    const signed_halves pairs = *(const signed_halves *)values;
    so_far->sums += (halves)((pairs << 16) >> 16) + (halves)(pairs >> 16);
}

// Of one half of the lanes.
static inline void finish(const summary *all, int half, int *low, int *high, int *sum) {
    const narrow8 *lows = (const narrow8 *)&all->low + half;
    const narrow8 *highs = (const narrow8 *)&all->high + half;
    const quarters *sums = (const quarters *)&all->sums + half;
    *low = __builtin_reduce_min(*lows);
    *high = __builtin_reduce_max(*highs);
    *sum = (int)__builtin_reduce_add(*sums);
}

static inline int smaller(int a, int b) { return a < b ? a : b; }
static inline int larger(int a, int b) { return a > b ? a : b; }

WIDE void apus_narrow_summary(const int16_t *numbers, size_t count, int *low, int *high,
                              int64_t *sum) {
    summary all = {.low = *(const lanes *)numbers, .high = *(const lanes *)numbers};
    for (size_t i = 0; i < count; i += 16) take((const lanes *)(numbers + i), &all);
    int low2, high2, sum1, sum2;
    finish(&all, 0, low, high, &sum1);
    finish(&all, 1, &low2, &high2, &sum2);
    *low = smaller(*low, low2);
    *high = larger(*high, high2);
    *sum = (int64_t)sum1 + sum2;
}

// The upper lanes go through the second half of the numbers meanwhile, as if it began at 0. Sums
// inside of eight numbers come first, so that only one addition waits for the eight before.
WIDE int apus_narrow_running_summary(const int16_t *numbers, size_t count, int16_t before, int *low,
                                     int *high, int64_t *sum) {
    const lanes zero = {0};
    const size_t half = count / 2;
    lanes carried = {before, before, before, before, before, before, before, before};
    summary all = {.low = zero + INT16_MAX, .high = zero + INT16_MIN};
    for (size_t i = 0; i < half; i += 8) {
        const narrow8 first = *(const narrow8 *)(numbers + i);
        const narrow8 second = *(const narrow8 *)(numbers + half + i);
        lanes local = __builtin_shufflevector(first, second, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                              12, 13, 14, 15);
        local += __builtin_shufflevector(local, zero, 16, 0, 1, 2, 3, 4, 5, 6, 16, 8, 9, 10, 11, 12,
                                         13, 14);
        local += __builtin_shufflevector(local, zero, 16, 16, 0, 1, 2, 3, 4, 5, 16, 16, 8, 9, 10, 11,
                                         12, 13);
        local += __builtin_shufflevector(local, zero, 16, 16, 16, 16, 0, 1, 2, 3, 16, 16, 16, 16, 8,
                                         9, 10, 11);
        const lanes values = local + carried;
        take(&values, &all);
        carried += __builtin_shufflevector(local, local, 7, 7, 7, 7, 7, 7, 7, 7, 15, 15, 15, 15, 15,
                                           15, 15, 15);
    }
    int low2, high2, sum1, sum2;
    finish(&all, 0, low, high, &sum1);
    finish(&all, 1, &low2, &high2, &sum2);
    const int middle = carried[0];
    *low = smaller(*low, low2 + middle);
    *high = larger(*high, high2 + middle);
    *sum = (int64_t)sum1 + sum2 + (int64_t)middle * (int64_t)half;
    return middle + carried[8];
}
