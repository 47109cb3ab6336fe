// Compiles one body for several instruction sets; the loader picks the widest that runs.
#ifndef APUS_WIDE_H
#define APUS_WIDE_H

#if defined(__x86_64__) && defined(__linux__)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

#endif
