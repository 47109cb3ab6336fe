#define _GNU_SOURCE
#include "apus_kernels.h"
#include "wide.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

// CRC-32C. The hardware instruction takes eight bytes in three cycles but could start one every
// cycle, so three stretches are summed side by side. The CRC of stretches A and B in a row is
// advance(crc(A), length of B) XOR crc(B), where `advance` feeds zero bytes: a linear map of the
// 32 bits, looked up byte by byte in four tables for each of the two stretch lengths.

static uint32_t crc_table[256];

enum { LONG_STRETCH = 1024, SHORT_STRETCH = 128 };
static uint32_t advance_long[4][256];
static uint32_t advance_short[4][256];
static int has_crc_instruction;

static uint32_t crc32c_table(uint32_t crc, const uint8_t *p, size_t count) {
    while (count--) crc = (crc >> 8) ^ crc_table[(crc ^ *p++) & 0xFF];
    return crc;
}

static void make_advance(uint32_t table[4][256], size_t zeros) {
    uint32_t images[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = 1u << bit;
        for (size_t i = 0; i < zeros; i++) crc = (crc >> 8) ^ crc_table[crc & 0xFF];
        images[bit] = crc;
    }
    for (int byte = 0; byte < 4; byte++) {
        for (uint32_t value = 0; value < 256; value++) {
            uint32_t image = 0;
            for (int bit = 0; bit < 8; bit++)
                if (value >> bit & 1) image ^= images[byte * 8 + bit];
            table[byte][value] = image;
        }
    }
}

__attribute__((constructor)) static void make_crc_tables(void) {
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
        crc_table[value] = crc;
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    has_crc_instruction = __builtin_cpu_supports("sse4.2");
    if (has_crc_instruction) {
        make_advance(advance_long, LONG_STRETCH);
        make_advance(advance_short, SHORT_STRETCH);
    }
#endif
}

#if defined(__x86_64__)
static inline uint64_t load64(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint32_t advance(uint32_t table[4][256], uint32_t crc) {
    return table[0][crc & 0xFF] ^ table[1][crc >> 8 & 0xFF] ^ table[2][crc >> 16 & 0xFF] ^
           table[3][crc >> 24];
}

// Three stretches of `stretch` bytes, a multiple of 8.
__attribute__((target("sse4.2"))) static inline uint32_t crc32c_three(
    uint32_t crc, const uint8_t *p, size_t stretch, uint32_t table[4][256]) {
    uint64_t first = crc, second = 0, third = 0;
    for (size_t at = 0; at < stretch; at += 8) {
        first = __builtin_ia32_crc32di(first, load64(p + at));
        second = __builtin_ia32_crc32di(second, load64(p + stretch + at));
        third = __builtin_ia32_crc32di(third, load64(p + 2 * stretch + at));
    }
    crc = advance(table, (uint32_t)first) ^ (uint32_t)second;
    return advance(table, crc) ^ (uint32_t)third;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p,
                                                               size_t count) {
    for (; count >= 3 * LONG_STRETCH; count -= 3 * LONG_STRETCH, p += 3 * LONG_STRETCH)
        crc = crc32c_three(crc, p, LONG_STRETCH, advance_long);
    for (; count >= 3 * SHORT_STRETCH; count -= 3 * SHORT_STRETCH, p += 3 * SHORT_STRETCH)
        crc = crc32c_three(crc, p, SHORT_STRETCH, advance_short);
    uint64_t wide = crc;
    for (; count >= 8; count -= 8, p += 8) wide = __builtin_ia32_crc32di(wide, load64(p));
    uint32_t narrow = (uint32_t)wide;
    while (count--) narrow = __builtin_ia32_crc32qi(narrow, *p++);
    return narrow;
}
#endif

uint32_t apus_crc32c(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
    if (has_crc_instruction) return ~crc32c_sse42(~crc, (const uint8_t *)bytes, count);
#endif
    return ~crc32c_table(~crc, (const uint8_t *)bytes, count);
}

uint32_t apus_crc32c_portable(uint32_t crc, const void *bytes, size_t count) {
    return ~crc32c_table(~crc, (const uint8_t *)bytes, count);
}

// Division by a power of ten, rounded once, without dividing: n × high + n × low, where high + low is 1 / p
// in two doubles, and the sum is one fused step (Brisebarre and Muller 2008). Its terms are off by less
// than 2^-105 of the quotient. With n below 2^53 the quotient is no midpoint of two doubles and lies at
// least 2^-54 / 5^k of itself away from each, so that for p = 10^k up to 10^21 both round alike.
static const double fused_power_max = 1e21;

typedef uint64_t words8 __attribute__((vector_size(64), aligned(8), may_alias));
typedef double doubles8 __attribute__((vector_size(64), aligned(8), may_alias));

static int has_fused_steps;

__attribute__((constructor)) static void find_fused_steps(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    has_fused_steps = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
}

// Adding it to a small integer's double puts the integer into the low bits of the mantissa: 1.5 × 2^52.
static const double magic = 6755399441055744.0;
static const uint64_t magic_bits = 0x4338000000000000;

static void restore_by_division(uint64_t *values, size_t count, double power) {
    for (size_t i = 0; i < count; i++) {
        uint64_t shifted = values[i] + magic_bits;
        double number;
        memcpy(&number, &shifted, 8);
        number = (number - magic) / power;
        memcpy(&values[i], &number, 8);
    }
}

typedef struct {
    double high, low;
} inverse;

static inverse inverse_of(double power) {
    const double high = 1 / power;
    return (inverse){high, fma(-high, power, 1) / power};
}

// By address: vectors of this size are no arguments without AVX-512.
static inline void divide(const doubles8 *number, inverse by, doubles8 *result) {
    const doubles8 high = {by.high, by.high, by.high, by.high, by.high, by.high, by.high, by.high};
    *result = __builtin_elementwise_fma(*number, high, *number * by.low);
}

WIDE static void restore_by_fused_steps(uint64_t *values, size_t count, double power) {
    const inverse by = inverse_of(power);
    size_t i = 0;
#pragma clang loop unroll_count(2)
    for (; i + 8 <= count; i += 8) {
        const words8 shifted = *(words8 *)(values + i) + magic_bits;
        const doubles8 number = (doubles8)shifted - magic;
        divide(&number, by, (doubles8 *)(values + i));
    }
    restore_by_division(values + i, count - i, power);
}

// 2^51 or more has bits that the sum with `magic` would lose.
static const double integer_max = 2251799813685248.0;

static uint64_t scale_by_division(const uint64_t *values, size_t count, double power,
                                  uint64_t *integers) {
    uint64_t exceptions = 0;
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, values + i, 8);
        const double scaled = value * power, sum = scaled + magic;
        uint64_t shifted;
        memcpy(&shifted, &sum, 8);
        const double restored = (sum - magic) / power;
        uint64_t bits;
        memcpy(&bits, &restored, 8);
        const int is_exact = scaled > -integer_max && scaled < integer_max && bits == values[i];
        integers[i] = is_exact ? shifted - magic_bits : APUS_NO_INTEGER;
        exceptions += !is_exact;
    }
    return exceptions;
}

WIDE static uint64_t scale_by_fused_steps(const uint64_t *values, size_t count, double power,
                                          uint64_t *integers) {
    const inverse by = inverse_of(power);
    words8 exceptions = {0};
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const words8 bits = *(const words8 *)(values + i);
        const doubles8 scaled = (doubles8)bits * power;
        const doubles8 sum = scaled + magic;
        const doubles8 number = sum - magic;
        doubles8 restored;
        divide(&number, by, &restored);
        const words8 is_exact = (words8)(scaled > -integer_max) & (words8)(scaled < integer_max) &
                                (words8)((words8)restored == bits);
        *(words8 *)(integers + i) =
            (((words8)sum - magic_bits) & is_exact) | (APUS_NO_INTEGER & ~is_exact);
        exceptions += is_exact + 1;
    }
    uint64_t total = scale_by_division(values + i, count - i, power, integers + i);
    for (int lane = 0; lane < 8; lane++) total += exceptions[lane];
    return total;
}

size_t apus_scale_decimals(const uint64_t *values, size_t count, double power, uint64_t *integers) {
    return has_fused_steps && power <= fused_power_max
               ? scale_by_fused_steps(values, count, power, integers)
               : scale_by_division(values, count, power, integers);
}

void apus_restore_decimals(uint64_t *values, size_t count, double power) {
    if (has_fused_steps && power <= fused_power_max)
        restore_by_fused_steps(values, count, power);
    else
        restore_by_division(values, count, power);
}

// Each lane counts up to 255 hits before it is added up.
WIDE size_t apus_count_newlines(const void *bytes, size_t count, int *has_quote) {
    typedef uint8_t lanes __attribute__((vector_size(64), aligned(1), may_alias));
    const uint8_t *p = (const uint8_t *)bytes;
    size_t total = 0;
    lanes quotes = {0};
    while (count >= sizeof(lanes)) {
        size_t rounds = count / sizeof(lanes);
        if (rounds > 255) rounds = 255;
        lanes hits = {0};
        for (size_t i = 0; i < rounds; i++, p += sizeof(lanes)) {
            const lanes here = *(const lanes *)p;
            hits -= (lanes)(here == '\n');
            quotes |= (lanes)(here == '"');
        }
        for (size_t i = 0; i < sizeof(lanes); i++) total += hits[i];
        count -= rounds * sizeof(lanes);
    }
    int found = 0;
    for (size_t i = 0; i < sizeof(lanes); i++) found |= quotes[i];
    for (; count > 0; count--, p++) {
        total += *p == '\n';
        found |= *p == '"';
    }
    if (found) *has_quote = 1;
    return total;
}

void apus_keep_freed_memory(void) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

void apus_expect_allocations(size_t bytes) {
#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
    enum { BLOCK = 16 << 20, BLOCKS_MAX = 256 };
    void *blocks[BLOCKS_MAX];
    size_t count = bytes / BLOCK;
    if (count == 0) return;
    if (count > BLOCKS_MAX) count = BLOCKS_MAX;
    apus_keep_freed_memory();
    uintptr_t start = UINTPTR_MAX, end = 0;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(BLOCK);
        const uintptr_t at = (uintptr_t)blocks[i];
        if (at != 0 && at < start) start = at;
        if (at != 0 && at + BLOCK > end) end = at + BLOCK;
    }
    // One behind the other, they are the end of the heap, and what is freed is given out next.
    const uintptr_t page = 2 << 20;
    start = (start + page - 1) & ~(page - 1);
    end &= ~(page - 1);
    if (start < end && end - start <= count * BLOCK + page)
        madvise((void *)start, end - start, MADV_HUGEPAGE);
    for (size_t i = 0; i < count; i++) free(blocks[i]);
#else
    (void)bytes;
#endif
}

void apus_share_freed_memory(int arenas) {
#if defined(__GLIBC__)
    mallopt(M_ARENA_MAX, arenas);
#else
    (void)arenas;
#endif
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
// Resident bytes that belong to no file, or 0 if the system doesn't say.
static size_t anonymous_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    unsigned long total = 0, resident = 0, shared = 0;
    const int found = fscanf(file, "%lu %lu %lu", &total, &resident, &shared);
    fclose(file);
    if (found != 3 || resident < shared) return 0;
    return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
}
#endif

size_t apus_return_freed_memory(size_t resident_max, size_t idle_max) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    if (anonymous_bytes() <= resident_max) return 0;
    const size_t idle = mallinfo2().fordblks;
    if (idle > idle_max) malloc_trim(0);
    return idle;
#else
    (void)resident_max;
    (void)idle_max;
    return 0;
#endif
}

void apus_set_thread_name(const char *name) {
    char short_name[16] = {0};
    strncpy(short_name, name, 15);
    pthread_setname_np(pthread_self(), short_name);
}
