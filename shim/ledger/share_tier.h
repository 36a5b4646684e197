/* SPDX-License-Identifier: Apache-2.0 */
/*
 * area_tier.h - what areas see of a tier, be it a device or the host: its books, and policy's answers about them.
 *
 * Inline, since a pin asks all of it. core.lock held.
 */
#ifndef EBB_AREA_TIER_H
#define EBB_AREA_TIER_H

#include "ledger/state.h"

#define AREA_INLINE static inline __attribute__((always_inline))

struct area_tier {
    struct area_books *books;
    const struct budget *budget;
    uint64_t staging_bytes;  /**< of the budget, kept for swaps: no capacity */
    uint64_t managed_bytes;  /**< of what is used, what areas divide */
    uint64_t reserved_bytes; /**< of what is used, operations with nothing behind them yet */
    uint64_t others_bytes;   /**< that the budget allows us and others have */
};

/** Limits are worked out again only when what they come from has changed. */
AREA_INLINE const struct area_limits *area_tier_limits(const struct area_tier *tier)
{
    struct area_memo *memo = &tier->books->memo;
    uint64_t limit = tier->budget->limit_bytes;
    uint64_t capacity = limit == BUDGET_NO_LIMIT ? UINT64_MAX : areas_over(limit, tier->staging_bytes);
    uint64_t untracked = tier->budget->used_bytes - tier->managed_bytes - tier->reserved_bytes +
                         tier->books->bytes[AREA_FIXED] + tier->others_bytes;

    if (__builtin_expect(memo->capacity_bytes != capacity || memo->untracked_bytes != untracked, 0))
        *memo = (struct area_memo){
            capacity, untracked,
            areas_limit(capacity, untracked, core.options->operations.share, core.options->buffers.share)};
    return &memo->limits;
}

AREA_INLINE struct areas area_tier_state(const struct area_tier *tier)
{
    const struct area_books *books = tier->books;
    uint64_t counted = books->bytes[AREA_FIXED] + books->bytes[AREA_BUFFER] + books->bytes[AREA_OPERATION];

    return (struct areas){
        .limits = *area_tier_limits(tier),
        .operations_bytes = books->bytes[AREA_OPERATION] + tier->reserved_bytes,
        .buffers_bytes = books->bytes[AREA_BUFFER],
        /* What is on its way counts as loose; what is pinned and not back yet counts already. */
        .loose_bytes = areas_over(tier->managed_bytes, counted),
        .demand_bytes = books->wanted_bytes,
    };
}

/** May operations grow? @buffer_bytes, @wanted_bytes: what buffers are less by that, in the tier and in all. */
AREA_INLINE int areas_admit(struct areas areas, uint64_t bytes, uint64_t buffer_bytes, uint64_t wanted_bytes)
{
    uint64_t evict_bytes;

    areas.buffers_bytes -= buffer_bytes;
    areas.demand_bytes -= wanted_bytes;
    return areas_grow_operations(&areas, bytes, &evict_bytes);
}

/** What is `here_bytes` of `whole_bytes` in the tier counts elsewhere: operations count as a whole, all else by what is
 *  here. */
AREA_INLINE void area_books_move(struct area_books *books, enum area from, enum area to, uint64_t here_bytes,
                                 uint64_t whole_bytes)
{
    if (from != AREA_LOOSE)
        books->bytes[from] -= from == AREA_OPERATION ? whole_bytes : here_bytes;
    if (to != AREA_LOOSE)
        books->bytes[to] += to == AREA_OPERATION ? whole_bytes : here_bytes;
    if (from == AREA_BUFFER)
        books->wanted_bytes -= whole_bytes;
    if (to == AREA_BUFFER)
        books->wanted_bytes += whole_bytes;
}

#endif
