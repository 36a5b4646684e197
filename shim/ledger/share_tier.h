/* SPDX-License-Identifier: Apache-2.0 */
/*
 * share_tier.h - what shares see of a tier, be it a device or the host: its books, and policy's answers about them.
 *
 * Inline, since a pin asks all of it. core.lock held.
 */
#ifndef EBB_SHARE_TIER_H
#define EBB_SHARE_TIER_H

#include "base/compiler.h"
#include "ledger/state.h"

struct share_tier {
    struct share_books *books;
    const struct budget *budget;
    uint64_t staging_bytes;  /**< of the budget, kept for exchanges: no capacity */
    uint64_t managed_bytes;  /**< of what is used, what shares divide */
    uint64_t reserved_bytes; /**< of what is used, operations with nothing behind them yet */
    uint64_t others_bytes;   /**< that the budget allows us and others have */
};

static ALWAYS_INLINE struct share_bounds share_bounds(const struct share_option *option)
{
    return (struct share_bounds){option->min_ppm, option->max_ppm};
}

/** Limits are worked out again only when what they come from has changed. */
static ALWAYS_INLINE const struct share_limits *share_tier_limits(const struct share_tier *tier)
{
    struct share_memo *memo = &tier->books->memo;
    uint64_t limit = tier->budget->limit_bytes;
    uint64_t capacity = limit == BUDGET_NO_LIMIT ? UINT64_MAX : shares_over(limit, tier->staging_bytes);
    uint64_t untracked = tier->budget->used_bytes - tier->managed_bytes - tier->reserved_bytes +
                         tier->books->bytes[SHARE_FIXED] + tier->others_bytes;

    if (UNLIKELY(memo->capacity_bytes != capacity || memo->untracked_bytes != untracked))
        *memo = (struct share_memo){capacity, untracked,
                                    shares_limit(capacity, untracked, share_bounds(&core.options->operations),
                                                 share_bounds(&core.options->buffers))};
    return &memo->limits;
}

static ALWAYS_INLINE struct shares share_tier_state(const struct share_tier *tier)
{
    const struct share_books *books = tier->books;
    uint64_t counted = books->bytes[SHARE_FIXED] + books->bytes[SHARE_BUFFER] + books->bytes[SHARE_OPERATION];

    return (struct shares){
        .limits = *share_tier_limits(tier),
        .operations_bytes = books->bytes[SHARE_OPERATION] + tier->reserved_bytes,
        .buffers_bytes = books->bytes[SHARE_BUFFER],
        /* Bytes on their way count as loose; a block that is pinned and not back yet counts already. */
        .loose_bytes = shares_over(tier->managed_bytes, counted),
        .demand_bytes = books->wanted_bytes,
    };
}

/** May operations grow? @buffer_bytes, @wanted_bytes: what buffers are less by that, in the tier and in all. */
static ALWAYS_INLINE int shares_admit(struct shares shares, uint64_t bytes, uint64_t buffer_bytes,
                                      uint64_t wanted_bytes)
{
    uint64_t evict_bytes;

    shares.buffers_bytes -= buffer_bytes;
    shares.demand_bytes -= wanted_bytes;
    return shares_grow_operations(&shares, bytes, &evict_bytes);
}

/** A block, `here_bytes` of `whole_bytes` in the tier, counts elsewhere: operations count as a whole, all else by what is
 *  here. */
static ALWAYS_INLINE void share_books_move(struct share_books *books, enum share from, enum share to,
                                           uint64_t here_bytes, uint64_t whole_bytes)
{
    if (from != SHARE_LOOSE)
        books->bytes[from] -= from == SHARE_OPERATION ? whole_bytes : here_bytes;
    if (to != SHARE_LOOSE)
        books->bytes[to] += to == SHARE_OPERATION ? whole_bytes : here_bytes;
    if (from == SHARE_BUFFER)
        books->wanted_bytes -= whole_bytes;
    if (to == SHARE_BUFFER)
        books->wanted_bytes += whole_bytes;
}

#endif
