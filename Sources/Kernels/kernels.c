#define _GNU_SOURCE
#include "apus_kernels.h"
#include <pthread.h>
#include <string.h>

static uint32_t crc32c_table(uint32_t crc, const uint8_t *p, size_t count) {
    while (count--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p,
                                                               size_t count) {
    uint64_t wide = crc;
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        wide = __builtin_ia32_crc32di(wide, word);
        p += 8;
        count -= 8;
    }
    uint32_t narrow = (uint32_t)wide;
    while (count--) narrow = __builtin_ia32_crc32qi(narrow, *p++);
    return narrow;
}
#endif

uint32_t apus_crc32c(uint32_t crc, const void *bytes, size_t count) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_sse42(~crc, (const uint8_t *)bytes, count);
#endif
    return ~crc32c_table(~crc, (const uint8_t *)bytes, count);
}

void apus_set_thread_name(const char *name) {
    char short_name[16] = {0};
    strncpy(short_name, name, 15);
    pthread_setname_np(pthread_self(), short_name);
}
