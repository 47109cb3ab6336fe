// RE2 behind a C interface: linear time and bounded memory whatever the pattern.
#ifndef APUS_REGEX_H
#define APUS_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct apus_regex apus_regex;

// Compiles a pattern (RE2 syntax, UTF-8). On failure returns NULL and writes a NUL-terminated
// message of at most `error_capacity` bytes. Thread-safe; the result may be shared by threads.
apus_regex *apus_regex_compile(const char *pattern, size_t count, bool ignore_case,
                               char *error, size_t error_capacity);

// Whether the pattern is found anywhere in `text` (an unanchored search).
bool apus_regex_matches(const apus_regex *regex, const char *text, size_t count);

void apus_regex_free(apus_regex *regex);

#ifdef __cplusplus
}
#endif

#endif
