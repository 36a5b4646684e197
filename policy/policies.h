/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policies.h - in which order blocks leave.
 *
 * Shape    a policy is a row of a table: how it ranks a candidate. The choice itself is victims_choose for all.
 *          Above every policy stand, in this order: what the caller favours leaves after what it does not, what has
 *          just come back leaves after what has not, and a higher priority leaves after a lower one.
 * Owns     nothing, allocates nothing. Threads and races as in victims.h.
 */
#ifndef EBB_POLICIES_H
#define EBB_POLICIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/victims.h"

enum {
    STAGE_MAX = 32767,   /**< stages are 0 to this */
    PRIORITY_MIN = -128, /**< leaves first */
    PRIORITY_MAX = 127,
};

/**
 * A row for each policy: its name, its function, whether that looks at bytes. In the order of the words that EBBTIDE_POLICY
 * takes.
 *
 * LRU    least recently used first
 * FIFO   first allocated first, however much it is used
 * SIZE   the smallest that is enough alone; where none is, the largest and then the next
 * STAGE  the last stage first, least recently used in it first
 * LOOKAHEAD  wanted last first, as far as `ahead` says, least recently used of those first; before them whose is not known
 */
#define POLICIES(ROW)                                                                                        \
    ROW(LRU, NULL, false)                                                                                    \
    ROW(FIFO, rank_fifo, false)                                                                              \
    ROW(SIZE, rank_size, true)                                                                               \
    ROW(STAGE, rank_stage, false)                                                                            \
    ROW(LOOKAHEAD, rank_lookahead, false)

#define POLICY_KIND(name, rank, by_bytes) POLICY_##name,
enum policy_kind {
    POLICIES(POLICY_KIND) POLICY_COUNT
};
#undef POLICY_KIND

/** A candidate, as far as a policy may look at it. */
struct candidate {
    uint64_t arrival; /**< grows with each block allocated */
    uint64_t bytes;   /**< that would leave; 0 unless `by_bytes` */
    uint32_t ahead;   /**< launches, as plan_turn has them; 0: not known */
    unsigned stage;   /**< 0 to STAGE_MAX; later work has the higher stage */
    int priority;     /**< PRIORITY_MIN to PRIORITY_MAX */
    bool is_favoured; /**< leaves only when what is not favoured is gone */
    bool is_settling; /**< came back so lately that others go first, lest it goes to and fro */
};

/** One policy. */
struct policy {
    /** The policy's own rank, below POLICY_RANKS, and order: the smaller leaves first; order decides among equal ranks, and
     *  comes as the stamp. NULL: all of rank 0, so that they leave by use alone. */
    void (*rank)(const struct candidate *candidate, uint64_t need_bytes, uint32_t *rank, uint64_t *order);
    bool by_bytes; /**< rank looks at bytes, and may depend on the need */
};

#define POLICY_RANKS (UINT32_C(1) << 22)

extern const struct policy policies[POLICY_COUNT];

struct policies {
    const struct policy *policy;
    struct victims victims; /**< `turn` is set here, and `arg` goes to the caller's functions */
    /** Everything about a candidate but its bytes. */
    void (*describe)(uint32_t index, void *arg, struct candidate *out);
    /** Priorities or favours are in use; false: not asked, all have the same. */
    bool is_ranked;
};

/** The turn of one candidate, for who looks at them one by one and keeps the first few: victims_before orders them.
 *  @turn  its stamp as order, and an index */
void policies_turn(enum policy_kind kind, const struct candidate *candidate, uint64_t need_bytes,
                   struct victim *turn);

/** The newest stamp that has settled: what came back later `is_settling`. Where a policy goes by use nothing has to: coming
 *  back is a use. @stamp_hz  stamps in a second */
uint64_t policies_settled(enum policy_kind kind, uint64_t now, uint64_t stamp_hz);

/**
 * Choose victims until their bytes reach `need_bytes`, as few and as little too much as the policy allows.
 *
 * @out     gets their indexes, who leaves first before who leaves next
 * Returns  how many, at most out_max. Without the last one their bytes were less than needed; where too few
 *          can move it is all of them.
 */
size_t policies_choose(const struct policies *view, uint64_t need_bytes, uint32_t *out, size_t out_max);

#endif
