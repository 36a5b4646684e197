/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_grow.h - objects that realloc made larger a short while ago: texts and tables that are being written.
 *
 * One that grows again gets room for twice as much, and stays where it is until that is used up. One that grows once, or
 * never, pays nothing for it.
 *
 * Shape    a few addresses with the bytes that were asked for last. One that was freed since may be there still: what
 *          follows from that is only how much room the next object of this size at this address gets.
 * Threads  each has its own.
 */
#ifndef EBB_MALLOC_GROW_H
#define EBB_MALLOC_GROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    GROWN_MOST = 8
};

struct grown {
    struct {
        const void *memory;
        size_t usable_bytes, bytes;
    } object[GROWN_MOST];
};

static inline void grown_init(struct grown *grown)
{
    memset(grown, 0, sizeof(*grown));
}

static inline unsigned grown_place(const void *memory)
{
    uintptr_t address = (uintptr_t)memory;

    return (unsigned)(address >> 4 ^ address >> 7 ^ address >> 12) % GROWN_MOST;
}

/** Bytes that were asked for when it grew; SIZE_MAX when it did not, as far as is known. */
static inline size_t grown_bytes(const struct grown *grown, const void *memory, size_t usable_bytes)
{
    unsigned place = grown_place(memory);

    return grown->object[place].memory == memory && grown->object[place].usable_bytes == usable_bytes
               ? grown->object[place].bytes
               : SIZE_MAX;
}

static inline void grown_set(struct grown *grown, const void *memory, size_t usable_bytes, size_t bytes)
{
    unsigned place = grown_place(memory);

    grown->object[place].memory = memory;
    grown->object[place].usable_bytes = usable_bytes;
    grown->object[place].bytes = bytes;
}

#endif
