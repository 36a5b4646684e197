/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - the heap's bytes: exact for the ledger, never over the host budget.
 *
 * The allocator counts what each thread allocates and frees anyway, and asks before it passes a limit. So nothing is
 * counted a second time: an account is a view of those counters, and its limit is the credit that its thread holds.
 *
 *     host budget  --lots-->  pool  --credit-->  account of a thread
 *
 * Net      what a thread allocated less what it freed less what its slots keep; below 0 for one that frees what others
 *          allocated. Sum of all nets = bytes that the program holds.
 * Exact    net <= granted in every account, sum of granted + pool = lots <= budget: taking credit is one atomic
 *          reservation, so that no number of threads passes the budget by a byte. Credit shrinks with the room that
 *          is left, so that little of it lies unused in others' hands when one is refused.
 * Bytes    usable bytes, those that malloc_usable_size tells.
 * Threads  an account belongs to its thread; sums read it from others. Nothing here allocates. The only locks are the
 *          list's (join, leave, sum) and, once per lot, core.lock.
 */
#ifndef EBB_HEAP_H
#define EBB_HEAP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The words of the allocator's thread data that an account is a view of. */
struct heap_counters {
    uint64_t allocated; /**< bytes since the thread began; the allocator adds to it */
    uint64_t slow_at;   /**< an allocation that would reach this comes to us first */
    uint64_t freed;     /**< as allocated */
    uint64_t free_slow_at;
};

struct heap_account {
    struct heap_counters *counters;
    int64_t granted;     /**< credit that is ours, used and unused */
    int64_t kept;        /**< bytes that slots keep: allocated to the allocator, free to the program */
    uint64_t limit;      /**< how far counters->allocated may go with what is granted */
    uint64_t spare_most; /**< more unused credit than this is to be settled */
    uint64_t theirs;     /**< what the allocator itself had in slow_at */
    uint64_t set;        /**< what we put there */
    struct heap_account *next, *previous;
};

/** Begin to sum a thread. `counters` live as long as the thread. */
void heap_join(struct heap_account *account, struct heap_counters *counters);

/** The thread ends: its net joins what ended threads left. */
void heap_leave(struct heap_account *account);

/** heap_take where the account's own credit does not suffice. */
bool heap_take_more(struct heap_account *account, uint64_t bytes);

/**
 * May the thread allocate `bytes` (usable) now? Before every allocation that comes to us.
 *
 * Returns  true: the allocator may be called, heap_settle after it. False: over the budget even after everything was
 *          demoted that could be; one line was logged
 */
static inline bool heap_take(struct heap_account *account, uint64_t bytes)
{
    uint64_t after = account->counters->allocated + bytes;

    return (__builtin_expect(after <= account->limit, 1) && after >= bytes) || heap_take_more(account, bytes);
}

/** Put the limit before the allocator again, which may have set its own. After every call to it. */
static inline void heap_rearm(struct heap_account *account)
{
    uint64_t now = account->counters->slow_at;

    if (now != account->set)
        account->theirs = now;
    account->set = account->theirs < account->limit ? account->theirs : account->limit;
    account->counters->slow_at = account->set;
}

/** After a free that came to us: give back credit that has become too much. */
void heap_settle(struct heap_account *account);

/** A slot takes `bytes` (the program freed them) or gives them out (after heap_take). */
static inline void heap_keep(struct heap_account *account, uint64_t bytes)
{
    account->kept += (int64_t)bytes;
    account->limit += bytes;
}

static inline void heap_unkeep(struct heap_account *account, uint64_t bytes)
{
    account->kept -= (int64_t)bytes;
    account->limit -= bytes;
    if (account->counters->slow_at > account->limit)
        heap_rearm(account);
}

/** The bytes that the program holds: exact while no thread allocates or frees. */
uint64_t heap_bytes(void);

/**
 * From now on the budget holds: charge what is held already. Before it everything is admitted.
 *
 * @limit_bytes  of the whole budget; UINT64_MAX without one
 */
void heap_open(uint64_t limit_bytes);

/** Charged to the budget, and not held by the program: lots less heap_bytes. */
uint64_t heap_unused(void);

/** Around fork; then in the child only the calling thread is left, and its account stays. */
void heap_fork_begin(void);
void heap_fork_parent(void);
void heap_fork_child(struct heap_account *mine);

#endif
