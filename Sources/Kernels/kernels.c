#define _GNU_SOURCE
#include "apus_kernels.h"
#include "wide.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
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

WIDE void apus_restore_decimals(uint64_t *values, size_t count, double power) {
    const double magic = 6755399441055744.0;  // 1.5 × 2^52
    uint64_t magic_bits;
    memcpy(&magic_bits, &magic, 8);
    for (size_t i = 0; i < count; i++) {
        uint64_t shifted = values[i] + magic_bits;
        double number;
        memcpy(&number, &shifted, 8);
        number = (number - magic) / power;
        memcpy(&values[i], &number, 8);
    }
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
