/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extent.h - runs of granules in a linear space: addresses in the arena, slots in a spill file.
 *
 * Shape    one record of 12 bytes per granule; a run keeps its length at both ends (boundary tags), free runs are in
 *          lists by size. Nothing above the highest run ever taken is touched, so a vast space costs only addresses.
 * Owns     nothing: the records lie in memory of the caller, zeroed as from pages_reserve. Never allocates.
 * Threads  none of its own: the caller locks.
 * Units    granules.
 */
#ifndef EBB_EXTENT_H
#define EBB_EXTENT_H

#include <stddef.h>
#include <stdint.h>

/** The most granules that one space can have. */
#define EXTENT_MAX ((uint32_t)INT32_MAX)

enum {
    EXTENT_LISTS = 192
};

struct extent_record;

struct extents {
    struct extent_record *record;       /**< of each granule; only those at the ends of runs mean something */
    uint32_t count;                     /**< granules in the space */
    uint32_t top;                       /**< all granules from here on are free and in no list */
    uint32_t low, high;                 /**< what has ever been in use lies between them */
    uint32_t taken;                     /**< granules in use */
    uint64_t filled[EXTENT_LISTS / 64]; /**< which lists are not empty */
    uint32_t list[EXTENT_LISTS];        /**< first granule of the first free run, plus 1 */
};

/** Bytes of zeroed memory that a space of `count` granules keeps its records in. */
size_t extent_bytes_needed(uint32_t count);

/**
 * A space of which everything is free.
 *
 * @memory  extent_bytes_needed(count) zero bytes, aligned to 4; the caller's, to be kept until the last call
 * @count   at most EXTENT_MAX
 */
void extent_init(struct extents *extents, void *memory, uint32_t count);

/** Take a run, at a low place where one is quickly found. -ENOMEM when no free run is that long.
 *  @granules  > 0 */
int extent_take(struct extents *extents, uint32_t granules, uint32_t *out_first);

/** Take that run. -ENOMEM: some of it is in use, or there is no such. Looks at every run before it.
 *  @granules  > 0 */
int extent_take_at(struct extents *extents, uint32_t first, uint32_t granules);

/** Give back a whole run as extent_take gave it; anything else is the caller's mistake: assert. */
void extent_give(struct extents *extents, uint32_t first, uint32_t granules);

/** A run is in use that somebody else has chosen: it only widens what extent_low and extent_high tell. A space has such
 *  runs or those of extent_take. */
void extent_cover(struct extents *extents, uint32_t first, uint32_t granules);

/** All that has been in use at some time lies from the one up to below the other. Needs no lock. */
uint32_t extent_low(const struct extents *extents);
uint32_t extent_high(const struct extents *extents);

#endif
