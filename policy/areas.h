/* SPDX-License-Identifier: Apache-2.0 */
/*
 * areas.h - how operations and buffers share a tier: SystemDS' Unified Memory Manager, as arithmetic.
 *
 * Operations (op) are what is pinned and reserved, buffers (buf) what is registered, unpinned and in the tier. The
 * boundary between them moves with demand: each may take what the other does not use, up to its own maximum, and
 * operations regain room by evicting buffers. Loose bytes are movable memory that nobody registered: buffers without
 * a maximum, which leave before the others. What the tier cannot manage shrinks its capacity.
 *
 *     0 <= op <= operations_max * C        C = capacity - untracked
 *     op + loose + buf <= C                always
 *     buf <= buffers_max * C               unless nothing more can leave
 *
 * Owns     nothing. Pure: every function answers, and the caller acts.
 * Units    bytes; shares in parts per million, products rounded down.
 */
#ifndef EBBTIDE_POLICY_AREAS_H
#define EBBTIDE_POLICY_AREAS_H

#include <stdint.h>

/** The part of a tier that an area may take; min at most max, max at most 1000000. */
struct area_share {
    uint32_t min_ppm;
    uint32_t max_ppm;
};

struct areas {
    uint64_t capacity_bytes; /**< of the tier; UINT64_MAX: no limit */
    uint64_t
        untracked_bytes; /**< U: used in it, but neither operation nor buffer nor loose; may pass the capacity */
    uint64_t operations_bytes; /**< op */
    uint64_t buffers_bytes;    /**< buf */
    uint64_t loose_bytes;
    uint64_t demand_bytes; /**< registered and unpinned in any tier: what buffers would like to have here */
    struct area_share operations;
    struct area_share buffers;
};

/** C - U, 0 where that is more than there is; UINT64_MAX without a limit. */
uint64_t areas_capacity(const struct areas *areas);

/** The most that operations may be, and the most that buffers should be. */
uint64_t areas_operations_max(const struct areas *areas);
uint64_t areas_buffers_max(const struct areas *areas);

/**
 * May operations grow by `bytes`? Bytes that are pinned where they lie have left buffers_bytes before.
 *
 * @out_evict_bytes  what must leave first, loose bytes before buffers, so that all fits; 0: nothing
 * Returns           0; -ENOSPC they would pass their maximum, or, where untracked use has shrunk the tier, push buffers
 *                   below the smaller of their minimum and their demand, or they do not fit with everything evicted
 */
int areas_grow_operations(const struct areas *areas, uint64_t bytes, uint64_t *out_evict_bytes);

/** What must leave for buffers to grow by `bytes`. */
struct areas_excess {
    uint64_t any_bytes; /**< loose or buffers, so that all fits: without this they must not grow */
    uint64_t
        buffer_bytes; /**< buffers, so that they keep to their maximum: as far as any can leave. What leaves for one
                                counts for the other, too */
};
struct areas_excess areas_grow_buffers(const struct areas *areas, uint64_t bytes);

/** How much over C - U everything would be with `bytes` more. */
uint64_t areas_overbooked(const struct areas *areas, uint64_t bytes);

#endif
