/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spill_folder.h - a spill directory for one test, on a real disk, and the options that name it.
 */
#ifndef EBBTIDE_TESTS_SPILL_H
#define EBBTIDE_TESTS_SPILL_H

#include "base/options.h"

struct spill {
    char path[64];
    struct options options;
};

/** Make a directory under /var/tmp; @size is its budget as in EBBTIDE_SPILL_DIR, or NULL. Exits when it
 * cannot. */
void spill_init(struct spill *spill, const char *size);

/** Name a second directory, which the caller made and removes. */
void spill_add(struct spill *spill, const char *path, const char *size);

/** How many names are in the directory. */
unsigned spill_names(const struct spill *spill);

/** Remove the directory; it has to be empty. */
void spill_finish(struct spill *spill);

#endif
