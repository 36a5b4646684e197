/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shares.h - how operations and buffers share a tier: SystemDS' Unified Memory Manager, as arithmetic.
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
#ifndef EBB_SHARES_H
#define EBB_SHARES_H

#include <errno.h>
#include <stdint.h>

/** The part of a tier that a share may take; min at most max, max at most 1000000. */
struct share_bounds {
    uint32_t min_ppm;
    uint32_t max_ppm;
};

/** Bounds of the shares. They change with the tier's budget and with what others use, not with what they hold. */
struct share_limits {
    uint64_t capacity_bytes; /**< C; UINT64_MAX: no limit */
    uint64_t operations_max_bytes;
    uint64_t buffers_max_bytes; /**< what buffers should keep to */
    /** Bytes that operations leave to buffers that want them: none, unless others have taken room from both. */
    uint64_t buffers_min_bytes;
};

/**
 * Work the limits out.
 *
 * @capacity_bytes   of the tier; UINT64_MAX: no limit
 * @untracked_bytes  U: used in it, but neither operation nor buffer nor loose; may pass the capacity, which leaves 0
 */
struct share_limits shares_limit(uint64_t capacity_bytes, uint64_t untracked_bytes,
                                 struct share_bounds operations, struct share_bounds buffers);

struct shares {
    struct share_limits limits;
    uint64_t operations_bytes; /**< op */
    uint64_t buffers_bytes;    /**< buf */
    uint64_t loose_bytes;
    uint64_t demand_bytes; /**< registered and unpinned in any tier: what buffers would like to have here */
};

/* ---- asked at every pin, and therefore here ------------------------------------------------------------------ */

/** The part of `bytes` above a limit. */
static inline uint64_t shares_over(uint64_t bytes, uint64_t limit_bytes)
{
    return bytes > limit_bytes ? bytes - limit_bytes : 0;
}

/** The sum, or UINT64_MAX where it is more. */
static inline uint64_t shares_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/** How much over C everything would be with `bytes` more. */
static inline uint64_t shares_overbooked(const struct shares *shares, uint64_t bytes)
{
    uint64_t all =
        shares_add(shares_add(shares->operations_bytes, shares->buffers_bytes), shares->loose_bytes);

    return shares_over(shares_add(all, bytes), shares->limits.capacity_bytes);
}

/**
 * May operations grow by `bytes`? Bytes that are pinned where they lie have left buffers_bytes before.
 *
 * @out_evict_bytes  what must leave first, loose bytes before buffers, so that all fits; 0: nothing
 * Returns           0; -ENOSPC they would pass their maximum, or, where untracked use has shrunk the tier, push buffers
 *                   below the smaller of their minimum and their demand, or they do not fit with everything evicted
 */
static inline int shares_grow_operations(const struct shares *shares, uint64_t bytes,
                                         uint64_t *out_evict_bytes)
{
    const struct share_limits *limits = &shares->limits;
    uint64_t grown = shares_add(shares->operations_bytes, bytes);
    uint64_t left =
        limits->buffers_min_bytes < shares->demand_bytes ? limits->buffers_min_bytes : shares->demand_bytes;

    if (bytes && (grown > limits->operations_max_bytes || shares_add(grown, left) > limits->capacity_bytes))
        return -ENOSPC;
    *out_evict_bytes = shares_overbooked(shares, bytes);
    return 0;
}

/** Bytes that must leave for buffers to grow by `bytes`. */
struct shares_excess {
    uint64_t any_bytes; /**< loose or buffers, so that all fits: without this they must not grow */
    /** Buffers, so that they keep to their maximum: as far as any can leave. They count for both. */
    uint64_t buffer_bytes;
};

static inline struct shares_excess shares_grow_buffers(const struct shares *shares, uint64_t bytes)
{
    return (struct shares_excess){
        .any_bytes = shares_overbooked(shares, bytes),
        .buffer_bytes =
            shares_over(shares_add(shares->buffers_bytes, bytes), shares->limits.buffers_max_bytes),
    };
}

#endif
