/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_keep.h - a few large objects that a thread has freed, for its next requests of the same class.
 *
 * Shape    classes of 16 KiB to 4 MiB; per class up to KEEP_DEPTH objects, per thread up to KEEP_BYTES_MOST.
 * Bytes    what a slot keeps counts as freed by the program.
 * Threads  each has its own.
 */
#ifndef EBB_MALLOC_SLOT_H
#define EBB_MALLOC_SLOT_H

#include <stdbool.h>
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

static inline void keep_init(struct kept *slots)
{
    slots->bytes = 0;
    slots->is_dropped = false;
    for (unsigned class = 0; class < KEEP_CLASSES; class ++)
        slots->count[class] = 0;
}

/** NULL when there is none of this class. */
static inline void *keep_take(struct kept *slots, unsigned class, uint64_t bytes)
{
    if (!slots->count[class])
        return 0;
    slots->bytes -= bytes;
    return slots->object[class][--slots->count[class]];
}

/** False when there is no room. */
static inline bool keep_put(struct kept *slots, unsigned class, uint64_t bytes, void *object)
{
    if (slots->count[class] == KEEP_DEPTH || slots->bytes + bytes > KEEP_BYTES_MOST)
        return false;
    slots->bytes += bytes;
    slots->is_dropped = false;
    slots->object[class][slots->count[class]++] = object;
    return true;
}

#endif
