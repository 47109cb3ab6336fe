#include "apus_kernels.h"

// CRC-32 as gzip has it, for whole 16 bytes. A polynomial's remainder stays the same when bits far
// ahead are replaced by what they are worth further on: 128 bits times x^512 (four registers) or x^128
// (one), modulo the polynomial. What is left of all that are 16 bytes, summed by table.

static uint32_t table[256];
static int has_multiplication;

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t value = 0; value < 256; value++) {
        uint32_t crc = value;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
        table[value] = crc;
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    has_multiplication = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

static uint32_t by_table(uint32_t crc, const uint8_t *p, size_t count) {
    while (count--) crc = (crc >> 8) ^ table[(crc ^ *p++) & 0xFF];
    return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i value, __m128i next,
                                                                  __m128i powers) {
    const __m128i low = _mm_clmulepi64_si128(value, powers, 0x00);
    const __m128i high = _mm_clmulepi64_si128(value, powers, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// `count` is a multiple of 16, 64 at least.
__attribute__((target("pclmul,sse4.1"))) static uint32_t by_multiplication(uint32_t crc,
                                                                         const uint8_t *bytes,
                                                                         size_t count) {
    // x^(512 + 32), x^(512 − 32), x^(128 + 32) and x^(128 − 32), with bits reversed.
    const __m128i far = _mm_set_epi64x(0x1C6E41596, 0x154442BD4);
    const __m128i near = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
    const __m128i *p = (const __m128i *)bytes;
    __m128i a = _mm_xor_si128(_mm_loadu_si128(p), _mm_cvtsi32_si128((int)crc));
    __m128i b = _mm_loadu_si128(p + 1);
    __m128i c = _mm_loadu_si128(p + 2);
    __m128i d = _mm_loadu_si128(p + 3);
    for (p += 4, count -= 64; count >= 64; p += 4, count -= 64) {
        a = fold(a, _mm_loadu_si128(p), far);
        b = fold(b, _mm_loadu_si128(p + 1), far);
        c = fold(c, _mm_loadu_si128(p + 2), far);
        d = fold(d, _mm_loadu_si128(p + 3), far);
    }
    a = fold(fold(fold(a, b, near), c, near), d, near);
    for (; count >= 16; p++, count -= 16) a = fold(a, _mm_loadu_si128(p), near);
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, a);
    return by_table(0, rest, 16);
}
#endif

uint32_t apus_crc32(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *p = bytes;
    crc = ~crc;
#if defined(__x86_64__)
    if (has_multiplication && count >= 64) {
        const size_t whole = count & ~(size_t)15;
        crc = by_multiplication(crc, p, whole);
        p += whole;
        count -= whole;
    }
#endif
    return ~by_table(crc, p, count);
}

int apus_has_fast_crc32(void) { return has_multiplication; }
