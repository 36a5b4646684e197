/* SPDX-License-Identifier: Apache-2.0 */
/* heap_recall.c - see heap_state.h. */
#include "heap/heap_state.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A recall waits so long for threads that are inside: they may have lost the processor to many others. */
#define YIELDS 64
#define NAPS   2000
#define NAP_NS 100000

uint32_t heap_recalls;
void (*heap_drop_kept)(struct heap_account *account);

bool heap_recall_start(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) == 0;
}

/* Every thread has seen what was stored before, and what it stored before is seen. */
static bool barrier(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0)
        return true;
    /* A forked child may have to say again that it will use it. */
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0) == 0;
}

/* The thread may add so much to its counters without asking anybody. */
static int64_t spare_of(const struct heap_account *account)
{
    return __atomic_load_n(&account->granted, __ATOMIC_RELAXED) - heap_net(account) - HEAP_FAST_MOST_BYTES;
}

static bool is_still(const struct heap_account *account)
{
    return !__atomic_load_n(&account->inside, __ATOMIC_ACQUIRE);
}

/* No fast path of its thread begins any more. False: the thread is inside. */
static void close_account(struct heap_account *account, unsigned *naps)
{
    for (unsigned yields = 0; !is_still(account) && !__atomic_load_n(&account->waits, __ATOMIC_ACQUIRE);
         yields++) {
        if (yields < YIELDS)
            sched_yield();
        else if (!*naps)
            break;
        else if ((*naps)--)
            nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    account->is_closed = is_still(account);
    if (!account->is_closed)
        return;
    if (account->counters->slow_at != account->set)
        account->theirs = account->counters->slow_at;
    account->set = 0;
    __atomic_store_n(&account->counters->slow_at, 0, __ATOMIC_RELAXED);
}

/* Take back what it has unused. One allocation that had begun before may still be counted later. */
static int64_t reopen_account(struct heap_account *account)
{
    int64_t spare = spare_of(account);

    if (!account->is_closed)
        return 0;
    account->is_closed = false;
    spare = spare > 0 ? spare : 0;
    if (heap_drop_kept)
        heap_drop_kept(account);
    heap_grant(account, -spare);
    heap_rearm(account);
    return spare;
}

int64_t heap_recallable(const struct heap_account *accounts)
{
    int64_t sum = 0;

    for (; accounts; accounts = accounts->next)
        if (spare_of(accounts) > 0)
            sum += spare_of(accounts);
    return sum;
}

int64_t heap_recall(struct heap_account *accounts)
{
    unsigned naps = NAPS;
    int64_t sum = 0;

    __atomic_store_n(&heap_recalls, 1, __ATOMIC_RELAXED);
    if (barrier()) {
        for (struct heap_account *account = accounts; account; account = account->next)
            close_account(account, &naps);
        if (barrier())
            for (struct heap_account *account = accounts; account; account = account->next)
                sum += reopen_account(account);
    }
    __atomic_store_n(&heap_recalls, 0, __ATOMIC_RELEASE);
    return sum;
}
