/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap.h - the heap's bytes: exact for the ledger, never over the host budget.
 *
 * The allocator counts what each thread allocates and frees anyway, and asks before it passes a limit. So nothing is
 * counted a second time: an account is a view of those counters, and its limit is the credit that its thread holds.
 *
 *     host budget  --lots-->  pool  --credit-->  account of a thread
 *
 * Net      what a thread allocated less what it freed less what it keeps; below 0 for one that frees what others
 *          allocated. Sum of all nets = bytes that the program holds.
 * Exact    net <= granted in every account, sum of granted + pool = lots <= budget: taking credit is one atomic
 *          reservation, so that no number of threads passes the budget by a byte.
 * Recall   before one is refused, unused credit is taken back from all others: their accounts are closed, membarrier(2)
 *          makes that known to them, and what they hold beyond HEAP_FAST_MOST_BYTES goes into the pool. So credit may be
 *          large, and costs its owner no atomic operation. Where the kernel has no membarrier (before 4.14), credit is
 *          small instead.
 * Bytes    usable bytes, those that malloc_usable_size tells.
 * Threads  an account belongs to its thread, between heap_enter and heap_exit; sums read it from others. Outside of the
 *          two the thread does no more than add to counters->allocated, at most HEAP_FAST_MOST_BYTES at once and below
 *          slow_at, and to counters->freed. Nothing here allocates. Locks: recalls, the list's (join, leave, sum, recall)
 *          and, once per lot, core.lock.
 */
#ifndef EBB_HEAP_H
#define EBB_HEAP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct options;

/** The words of the allocator's thread data that an account is a view of. */
struct heap_counters {
    uint64_t allocated; /**< bytes since the thread began; the allocator adds to it */
    uint64_t slow_at;   /**< an allocation that would reach this comes to us first */
    uint64_t freed;     /**< as allocated */
    uint64_t free_slow_at;
};

/** The most that one allocation adds to counters->allocated outside of heap_enter and heap_exit. */
#define HEAP_FAST_MOST_BYTES ((int64_t)16 << 10)

struct heap_account {
    struct heap_counters *counters;
    uint32_t inside;     /**< how often heap_enter was called without heap_exit */
    bool waits;          /**< inside, without unused credit: nothing to recall */
    bool is_closed;      /**< by a recall */
    int64_t granted;     /**< credit that is ours, used and unused */
    int64_t kept;        /**< bytes that the thread keeps: allocated to the allocator, free to the program */
    uint64_t limit;      /**< how far counters->allocated may go with what is granted */
    uint64_t spare_most; /**< more unused credit than this, less what is kept, is to be settled */
    uint64_t theirs;     /**< what the allocator itself had in slow_at */
    uint64_t set;        /**< what we put there */
    struct heap_account *next, *previous;
};

/** Bytes that the program holds of it; below 0 for a thread that frees what others allocated. */
static inline int64_t heap_net(const struct heap_account *account)
{
    return (int64_t)(__atomic_load_n(&account->counters->allocated, __ATOMIC_RELAXED) -
                     __atomic_load_n(&account->counters->freed, __ATOMIC_RELAXED)) -
           __atomic_load_n(&account->kept, __ATOMIC_RELAXED);
}

/** So much more credit, or less. Sets the limit by what was freed until now. */
static inline void heap_grant(struct heap_account *account, int64_t bytes)
{
    __atomic_store_n(&account->granted, account->granted + bytes, __ATOMIC_RELAXED);
    account->limit = (uint64_t)(account->granted + account->kept) +
                     __atomic_load_n(&account->counters->freed, __ATOMIC_RELAXED);
}

/** Begin to sum a thread. `counters` live as long as the thread. */
void heap_join(struct heap_account *account, struct heap_counters *counters);

/** Between heap_enter and heap_exit: the thread ends, but its account is used later or left. It gives all its unused credit
 *  back, and what it holds joins what ended threads left: its counters are 0 from now on. heap_rearm after the allocator
 *  knows of that. */
void heap_rest(struct heap_account *account);
/** Another thread begins with it. */
void heap_resume(void);

/** The thread ends: its net joins what ended threads left. */
void heap_leave(struct heap_account *account);

/** Credit is being recalled: whoever enters waits. */
extern uint32_t heap_recalls;

/** heap_enter where credit is being recalled. */
void heap_enter_later(struct heap_account *account);

/** Around everything that uses the account. Nested calls are one. */
static inline void heap_enter(struct heap_account *account)
{
    uint32_t depth = account->inside;

    __atomic_store_n(&account->inside, depth + 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* membarrier in heap_recall makes it a real one */
    if (UNLIKELY(__atomic_load_n(&heap_recalls, __ATOMIC_ACQUIRE) && !depth))
        heap_enter_later(account);
}

static inline void heap_exit(struct heap_account *account)
{
    __atomic_store_n(&account->inside, account->inside - 1, __ATOMIC_RELEASE);
}

/** The account's thread has ended, maybe between heap_enter and heap_exit: a signal handler may end one
 *  anywhere. Its credit stays granted. */
static inline void heap_forsaken(struct heap_account *account)
{
    __atomic_store_n(&account->waits, false, __ATOMIC_RELAXED);
    __atomic_store_n(&account->inside, 0, __ATOMIC_RELEASE);
}

/** Who called the exported function that this thread is in, when that has left the fast paths. */
extern THREAD_LOCAL const void *heap_caller;

/** In an exported function, before it asks for bytes. */
static inline __attribute__((always_inline)) void heap_note_caller(void)
{
    heap_caller = __builtin_return_address(0);
}

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

    return (LIKELY(after <= account->limit) && after >= bytes) || heap_take_more(account, bytes);
}

/** Put the limit before the allocator again, which may have set its own. After every call to it. */
static inline void heap_rearm(struct heap_account *account)
{
    uint64_t now = account->counters->slow_at;

    if (now != account->set)
        account->theirs = now;
    account->set = account->theirs < account->limit ? account->theirs : account->limit;
    __atomic_store_n(&account->counters->slow_at, account->set, __ATOMIC_RELAXED);
}

/** After a free that came to us: give back credit that has become too much. */
void heap_settle(struct heap_account *account);

/** The thread keeps `bytes` (the program freed them), or gives them out (after heap_take). */
static inline void heap_keep(struct heap_account *account, uint64_t bytes)
{
    __atomic_store_n(&account->kept, account->kept + (int64_t)bytes, __ATOMIC_RELAXED);
    account->limit += bytes;
    if (UNLIKELY(account->limit - (uint64_t)account->kept - account->counters->allocated >
                 account->spare_most))
        heap_settle(account);
}

static inline void heap_unkeep(struct heap_account *account, uint64_t bytes)
{
    __atomic_store_n(&account->kept, account->kept - (int64_t)bytes, __ATOMIC_RELAXED);
    account->limit -= bytes;
    if (account->counters->slow_at > account->limit)
        heap_rearm(account);
}

/** heap_forgo with something to forgo. */
void heap_forgo_some(struct heap_account *account, uint64_t bytes);

/** So much of the object that the thread is about to free is not in the ledger: of a host block it was not
 *  in memory. No credit comes of it. Right before the free is counted, between the same heap_enter and heap_exit: until
 *  then the limit means nothing. */
static inline void heap_forgo(struct heap_account *account, uint64_t bytes)
{
    if (UNLIKELY(bytes != 0))
        heap_forgo_some(account, bytes);
}

/** The bytes that the program holds: exact while no thread allocates or frees. */
uint64_t heap_bytes(void);

/** From now on the heap is counted, and holds the budget of the host, which starts; before it everything is admitted. It
 *  can be asked for room (ledger/shrink.h), but not between heap_enter and heap_exit. How much the machine has is read from
 *  files, so not later, in some allocation: the program may have closed a sandbox behind itself, or be on a small stack.
 *  @options  live for ever. */
void heap_start(const struct options *options);

/** The allocator keeps no more than this of what nobody holds: the budget has no room for it. NULL: there is none. Called
 *  with no lock held, by an allocation or where one could be made; errno stays. */
extern void (*heap_trim)(uint64_t room_bytes);

/** The unused credit of an account is taken back, and with it the memory of what the allocator keeps for its thread, which
 *  does not use it meanwhile; other threads wait. Must not allocate or wait. NULL: nothing is kept. */
extern void (*heap_drop_kept)(struct heap_account *account);

/** Around fork; then in the child only the calling thread is left, and its account stays. */
void heap_fork_begin(void);
void heap_fork_parent(void);
void heap_fork_child(struct heap_account *mine);

/* ---- malloc_life.c: when the malloc family begins to count, and when it steps aside ------------------------------
 *
 * It serves from the first call of the loader on, and counts; limits hold from malloc_start on. Weak: the library can be
 * built without the malloc family, and then all are NULL. */

/** The options are known: hold the heap to the host budget, or leave it to libc where the program has a malloc of its
 *  own, runs under a sanitizer or Valgrind, or EBBTIDE_DISABLE is set. Once, from the library's constructor. */
void malloc_start(const struct options *options) __attribute__((weak));

/** There may be a fork from now on: jemalloc's handlers are registered, and then fork_watch was called; nothing
 *  while that is being done. Any time. */
void malloc_first(void) __attribute__((weak));

/** Does the address lie in an object of the heap, which is counted already? Microseconds for most that do not. */
bool malloc_counts(const void *memory) __attribute__((weak));

#endif
