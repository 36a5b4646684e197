/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_keep.h - a few large objects that a thread has freed, for its next requests of the same class.
 *
 * Shape    classes of 16 KiB to 4 MiB; per class up to KEEP_DEPTH objects, per thread up to KEEP_BYTES_MOST.
 * Bytes    what is kept counts as freed by the program.
 * Threads  each has its own.
 */
#ifndef EBB_MALLOC_KEEP_H
#define EBB_MALLOC_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KEEP_CLASSES = 33,
    KEEP_DEPTH = 16,
    KEEP_BYTES_MOST = 16 << 20
};

struct kept {
    uint64_t bytes;
    bool is_dropped; /**< the memory of all that it has was given back, and nothing came since */
    uint8_t count[KEEP_CLASSES];
    void *object[KEEP_CLASSES][KEEP_DEPTH];
};

static inline void keep_init(struct kept *kept)
{
    kept->bytes = 0;
    kept->is_dropped = false;
    for (unsigned class = 0; class < KEEP_CLASSES; class ++)
        kept->count[class] = 0;
}

/** NULL when there is none of this class. */
static inline void *keep_take(struct kept *kept, unsigned class, uint64_t bytes)
{
    if (!kept->count[class])
        return NULL;
    kept->bytes -= bytes;
    return kept->object[class][--kept->count[class]];
}

/** False when there is no room. */
static inline bool keep_put(struct kept *kept, unsigned class, uint64_t bytes, void *object)
{
    if (kept->count[class] == KEEP_DEPTH || kept->bytes + bytes > KEEP_BYTES_MOST)
        return false;
    kept->bytes += bytes;
    kept->is_dropped = false;
    kept->object[class][kept->count[class]++] = object;
    return true;
}

#endif
