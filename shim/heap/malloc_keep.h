/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_slot.h - a few large objects that a thread has freed, for its next requests of the same class.
 *
 * Shape    classes of 16 KiB to 4 MiB; per class up to SLOT_DEPTH objects, per thread up to SLOT_BYTES_MOST.
 * Bytes    what a slot keeps counts as freed by the program.
 * Threads  each has its own.
 */
#ifndef EBB_MALLOC_SLOT_H
#define EBB_MALLOC_SLOT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SLOT_CLASSES = 33,
    SLOT_DEPTH = 16,
    SLOT_BYTES_MOST = 16 << 20
};

struct slots {
    uint64_t bytes;
    bool is_dropped; /**< the memory of all that it has was given back, and nothing came since */
    uint8_t count[SLOT_CLASSES];
    void *object[SLOT_CLASSES][SLOT_DEPTH];
};

static inline void slots_init(struct slots *slots)
{
    slots->bytes = 0;
    slots->is_dropped = false;
    for (unsigned class = 0; class < SLOT_CLASSES; class ++)
        slots->count[class] = 0;
}

/** NULL when there is none of this class. */
static inline void *slot_take(struct slots *slots, unsigned class, uint64_t bytes)
{
    if (!slots->count[class])
        return 0;
    slots->bytes -= bytes;
    return slots->object[class][--slots->count[class]];
}

/** False when there is no room. */
static inline bool slot_put(struct slots *slots, unsigned class, uint64_t bytes, void *object)
{
    if (slots->count[class] == SLOT_DEPTH || slots->bytes + bytes > SLOT_BYTES_MOST)
        return false;
    slots->bytes += bytes;
    slots->is_dropped = false;
    slots->object[class][slots->count[class]++] = object;
    return true;
}

#endif
