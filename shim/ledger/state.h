/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the core's one state, for the files of the core only.
 *
 * Locks, outermost first:
 *   the mover's role (mover_take)  one thread plans and moves; held across device calls and disk I/O
 *   the gate, as owner             closed by the holder of the role only
 *   core.lock                      tables, budgets, queues; nothing is called out to while it is held
 */
#ifndef EBB_STATE_H
#define EBB_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/lock.h"
#include "base/options.h"
#include "ledger/bin.h"
#include "ledger/block.h"
#include "ledger/counters.h"
#include "ledger/kinds.h"
#include "ledger/recycler.h"
#include "ledger/share.h"
#include "policy/budget.h"
#include "tier/device.h"
#include "tier/disk.h"
#include "tier/executor.h"

enum {
    IDLE_GRANULES_MAX =
        32 /**< of a freed block that stays mapped: larger ones cost little by the byte to map anew */
};

/** Freed blocks of one size that are still mapped: first granule of each. */
struct idle_blocks {
    uint16_t count[IDLE_GRANULES_MAX + 1];
    uint32_t first[IDLE_GRANULES_MAX + 1][64];
};

/**
 * How old a stamp gets while its block is in use. Threads that use the same blocks take the lines of their stamps
 * from each other this often. Younger means that the order of uses is known more exactly than it matters: a launch
 * takes 2 to 3 microseconds, and to move the smallest block takes 80 at the 25 GB/s of a link.
 */
#define STAMP_AGE_US 8

/** Of core.attention: unregistered chunks that are unmapped, so that sources are searched; whether what happens is recorded
 *  (EBBTIDE_RECORD); whether the program has managed memory that floats; and whether launches are noted. */
#define ATTENTION_UNPROVEN 0x1fffffffu
#define ATTENTION_RECORD   0x20000000u
#define ATTENTION_MANAGED  0x40000000u
#define ATTENTION_NOTE     0x80000000u

struct device_state {
    _Atomic bool ready;        /**< budget resolved against the device's size */
    uint64_t configured_bytes; /**< budget as asked for; the limit is lower while the device is full */
    uint64_t total_bytes;      /**< of the device */
    uint64_t pool_bytes;       /**< most that blocks hold with EBBTIDE_ALLOCATOR=pool; <= configured_bytes */
    _Atomic uint64_t unusable_bytes; /**< free, says the driver, and yet refused; until something is freed */
    uint64_t refused_ns, doubt_ns;   /**< when it was last refused, and how long that is believed */
    _Atomic uint32_t chunk_max_granules; /**< largest chunk so far: what the staging reserve is */
    _Atomic uint64_t away_bytes;         /**< bytes of blocks that are not resident */
    _Atomic uint64_t
        ordered_bytes; /**< of device memory that blocks freed in the order of a stream still have */
    _Atomic uint64_t others_bytes; /**< held on the device and not by us, when the monitor last looked */
    uint64_t wanted_bytes;         /**< that allocations wait for */
    /** Longest wait in vain for what it has not ended since; 0: none. drain.c's. */
    _Atomic uint64_t waited_ms;
    bool reaches_host; /**< the role's: it was seen to find mapped host memory */
    /** Calls that were made (gate_calls) before it was last found at rest, and 1; 0: it never was. drain.c's. */
    _Atomic uint64_t rested_calls;
    struct share_books shares; /**< of blocks */
    struct queues queues;      /**< of what is registered or drawn */
    struct budget budget;
    struct recycler handles;
    struct idle_blocks idle_blocks;
    struct bins bins;
    struct kinds_tally kinds;
};

struct core {
    _Atomic bool active;
    _Atomic bool leaving; /**< by core_leave: calls of the program may come past the gate */
    _Atomic bool host_active;
    const struct options *options;
    struct device *device; /**< NULL: none was started */
    struct lock lock;
    pthread_cond_t changed; /**< with lock: a chunk came to rest, a pin was dropped, a capture ended */
    struct blocks blocks;
    void *arena_memory;
    uint64_t reserved_base, reserved_bytes; /**< what the driver reserved; blocks begin a little above */
    struct device_state devices[DEVICE_MAX];
    struct budget host_budget;
    bool
        host_follows; /**< with lock: its limit is a share of the machine's memory, and not the program's word */
    _Atomic uint64_t host_due_ns; /**< when whoever is about to be refused asks the machine again */
    uint64_t host_wanted_bytes;   /**< with lock: what allocations of the heap wait for */
    struct host_share host_share;
    struct recycler slabs;
    bool mapped; /**< evicted blocks stay mapped (else strict) */
    /** With lock: how much of `bytes` the calling thread can draw from its reservation. */
    uint64_t (*drawable)(uint64_t bytes);

    struct disk disk;
    _Atomic bool disk_off; /**< after a failed save the tier takes nothing more */
    struct executors executors;

    uint64_t role_next, role_now;                         /**< tickets of the mover's role */
    _Atomic uint64_t room_waits_begun, room_waits_served; /**< tickets of waits for room; written with lock */
    uint8_t scan[DEVICE_MAX];                             /**< the role's: enum scan_trust, of each device */
    bool unreadable; /**< the role's: some chunk's bytes could not be read back */
    /** The driver has refused to unmap or grant several pieces at once, and done each of them. */
    _Atomic bool one_by_one;
    bool scanning; /**< with lock: every block is being read, none is given back meanwhile */
    _Atomic uint64_t closed_in_vain; /**< tries to come to rest that ran out of time, or were known to */
    _Atomic uint32_t waiting;        /**< threads in core_wait_change */
    _Atomic uint32_t changing;       /**< blocks being built or given back: memory that nobody can have yet */
    _Atomic uint32_t changes;        /**< how often one came to its end */
    _Atomic uint32_t pins_all;       /**< launches that use every block */
    _Atomic uint32_t captures;       /**< open stream captures */
    _Atomic uint64_t capturing_since_ns; /**< when the first of them was begun */
    atomic_bool has_told_capture;
    _Atomic uint32_t attention;          /**< what calls have to look at beside the gate; 0: nothing */
    _Atomic(const char *) account_only;  /**< why nothing may leave; NULL: it may */
    _Atomic(const char *) roots_unknown; /**< why no search can prove anything; NULL: it can */
    _Atomic uint32_t deferred; /**< dead blocks whose memory waits for the end of a capture or a drain */

    bool is_ranked;           /**< with lock: some block was given a priority */
    bool forked;              /**< a child of the process that was started */
    _Atomic bool shares_used; /**< the program has used the API */
    _Atomic bool shares_in_force;

    uint64_t stamp_hz;        /**< ticks of core_stamp in a second */
    uint64_t stamp_step;      /**< ticks in STAMP_AGE_US: a younger stamp is not written again */
    const char *machine_root; /**< where a test keeps a /proc and a /sys of its own; NULL: the machine's */
    struct counters counters;
    uint64_t started_ns;
};

extern struct core core;

/** While the host begins to be managed. Before core.lock. */
extern struct lock core_starting;

/** Now on the clock of the stamps: the processor's time-stamp counter where it has one, never 0. */
static inline uint64_t core_stamp(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc() & INT64_MAX;
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return (ticks & INT64_MAX) | 1;
#else
    return core.device->now_ns(core.device) | 1;
#endif
}

/** Nanoseconds for durations, with or without a device. */
static inline uint64_t core_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/** A deadline `wait_ns` from now, for waits on CLOCK_MONOTONIC. */
static inline struct timespec core_until(uint64_t wait_ns)
{
    uint64_t until_ns = core_clock_ns() + wait_ns;

    return (struct timespec){.tv_sec = (time_t)(until_ns / 1000000000),
                             .tv_nsec = (long)(until_ns % 1000000000)};
}

/** Does the driver choose where blocks lie, and move their pages itself? Then nothing is unmapped and nothing that
 *  was freed is kept: a block leaves by being sent, and its memory goes with its address. */
static inline bool core_places(void)
{
    return core.device->place != NULL;
}

static inline uint64_t core_now(void)
{
    return core.device->now_ns(core.device);
}

#endif
