#include "apus_regex.h"

#include <cstring>
#include <new>
#include <re2/re2.h>

struct apus_regex {
    re2::RE2 pattern;
    apus_regex(re2::StringPiece text, const re2::RE2::Options &options) : pattern(text, options) {}
};

static const int64_t memory_max = 8 << 20;

apus_regex *apus_regex_compile(const char *pattern, size_t count, bool ignore_case, char *error,
                               size_t error_capacity) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_case_sensitive(!ignore_case);
    options.set_max_mem(memory_max);
    apus_regex *regex = new (std::nothrow) apus_regex(re2::StringPiece(pattern, count), options);
    if (regex != nullptr && regex->pattern.ok()) return regex;
    if (error_capacity > 0) {
        const char *text = regex == nullptr ? "out of memory" : regex->pattern.error().c_str();
        strncpy(error, text, error_capacity - 1);
        error[error_capacity - 1] = 0;
    }
    delete regex;
    return nullptr;
}

bool apus_regex_matches(const apus_regex *regex, const char *text, size_t count) {
    return re2::RE2::PartialMatch(re2::StringPiece(text, count), regex->pattern);
}

void apus_regex_free(apus_regex *regex) { delete regex; }
