/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_split.c - what the moving boundary is for: SystemDS' script on 200 MiB, with a static split and with shares.
 *
 * The static split has 140 for operations and a pool of 30; what is larger than the pool is written through when it is
 * unpinned, and read back when it is pinned.
 */
#include "policy/shares.h"

#include <criterion/criterion.h>
#include <stdbool.h>

struct object {
    uint64_t mib;
    bool here, saved;
};

struct count {
    unsigned saves, restores;
    uint64_t saved, restored; /* MiB */
};

struct tier {
    struct shares shares; /* in MiB; only the unified one */
    bool is_static;
    struct count count;
};

enum {
    POOL = 30
};

static void pin(struct tier *tier, struct object *object)
{
    uint64_t evict = 0;

    if (!object->here) {
        tier->count.restores++;
        tier->count.restored += object->mib;
    } else if (!tier->is_static) {
        tier->shares.buffers_bytes -= object->mib;
    }
    object->here = true;
    cr_assert_eq(shares_grow_operations(&tier->shares, object->mib, &evict), 0);
    tier->shares.operations_bytes += object->mib;
    tier->count.saves += evict != 0;
    tier->count.saved += evict;
}

static struct object output(struct tier *tier, uint64_t mib)
{
    struct object object = {.mib = mib, .here = true};
    uint64_t evict = 0;

    cr_assert_eq(shares_grow_operations(&tier->shares, mib, &evict), 0);
    tier->shares.operations_bytes += mib;
    tier->count.saves += evict != 0;
    tier->count.saved += evict;
    return object;
}

static void unpin(struct tier *tier, struct object *object)
{
    struct shares_excess excess;

    tier->shares.operations_bytes -= object->mib;
    if (!tier->is_static) {
        excess = shares_grow_buffers(&tier->shares, object->mib);
        tier->count.saves += excess.any_bytes || excess.buffer_bytes;
        tier->shares.buffers_bytes += object->mib;
        return;
    }
    if (object->mib <= POOL)
        return;
    if (!object->saved) {
        tier->count.saves++;
        tier->count.saved += object->mib;
    }
    object->saved = true;
    object->here = false;
}

static struct count run(bool is_static)
{
    struct tier tier = {.shares = {.limits = shares_limit(200, 0, (struct share_bounds){500000, 700000},
                                                          (struct share_bounds){150000, 700000})},
                        .is_static = is_static};
    struct object x = output(&tier, 60), mean, centred, deviation, result;

    unpin(&tier, &x);
    pin(&tier, &x); /* ColMean */
    mean = output(&tier, 2);
    unpin(&tier, &mean);
    unpin(&tier, &x);
    pin(&tier, &x); /* X - ColMean */
    pin(&tier, &mean);
    centred = output(&tier, 60);
    unpin(&tier, &mean);
    tier.shares.operations_bytes -= x.mib; /* the old X is freed */
    unpin(&tier, &centred);
    pin(&tier, &centred); /* ColSd */
    deviation = output(&tier, 2);
    unpin(&tier, &deviation);
    unpin(&tier, &centred);
    pin(&tier, &centred); /* X / ColSd */
    pin(&tier, &deviation);
    result = output(&tier, 60);
    unpin(&tier, &deviation);
    unpin(&tier, &centred);
    unpin(&tier, &result);
    pin(&tier, &result); /* write(X) */
    return tier.count;
}

Test(split, static_one_saves_three_times_and_restores_five)
{
    struct count count = run(true);

    cr_expect_eq(count.saves, 3);
    cr_expect_eq(count.saved, 180);
    cr_expect_eq(count.restores, 5);
    cr_expect_eq(count.restored, 300);
}

Test(split, unified_one_saves_no_more_than_the_static_one)
{
    struct count unified = run(false), fixed = run(true);

    cr_expect_eq(unified.saves, 0);
    cr_expect_eq(unified.restores, 0);
    cr_expect_leq(unified.saves, fixed.saves);
    cr_expect_leq(unified.saved + unified.restored, fixed.saved + fixed.restored);
}
