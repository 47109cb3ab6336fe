#include "apus_build_commit.h"

// Package.swift passes on the environment's APUS_COMMIT, which the Makefile sets.
const char *apus_build_commit(void) { return APUS_COMMIT; }
