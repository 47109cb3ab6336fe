// The commit that this binary was built from. A module of its own, so that a new commit compiles
// nothing again but the command that prints it.

#ifndef APUS_BUILD_COMMIT_H
#define APUS_BUILD_COMMIT_H

// Twelve hexadecimal digits, with a + if files had changed since; "unknown" where nobody told.
const char *apus_build_commit(void);

#endif
