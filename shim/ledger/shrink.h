/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shrink.h - what is charged to the host's budget in lots, and can be asked to hold less of it: the heap, once it counts.
 *
 * The heap stands above all who need room, so it registers what they ask of it, as caches do with a kernel. Without it
 * every question is answered by nothing.
 *
 * Threads  any, no lock held. The shrinker is set before the host's budget starts, and stays.
 */
#ifndef EBB_SHRINK_H
#define EBB_SHRINK_H

#include <stdbool.h>
#include <stdint.h>

struct shrinker {
    /** The budget has started, and holds; `limit_bytes` of all of it, UINT64_MAX without one. */
    void (*open)(uint64_t limit_bytes);
    /** Somebody else needs room: give back what is charged and not held. True: something was. */
    bool (*give_back)(void);
    /** The budget has so much room: keep no more than that of memory that nobody holds. */
    void (*keep_little)(uint64_t room_bytes);
    /** Charged and not held, in bytes. */
    uint64_t (*unused)(void);
};

/** NULL: there is none. */
extern const struct shrinker *shrinker;

static inline void shrink_keep_little(uint64_t room_bytes)
{
    if (shrinker)
        shrinker->keep_little(room_bytes);
}

#endif
