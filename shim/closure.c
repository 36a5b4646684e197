/* SPDX-License-Identifier: Apache-2.0 */
/* closure.c - see closure.h. */
#include "closure.h"

#include <errno.h>
#include <time.h>

#include "log.h"
#include "search.h"
#include "state.h"
#include "steps.h"
#include "tier.h"

/* How long a launch or the timer waits for a device to come to rest before blocks stay where they are. */
#define IMPATIENT_MS 100

static uint64_t now_of_device(void *device)
{
    return ((struct device *)device)->now_ns(device);
}

/* Pages that the driver itself sends may be in use on their way. A block that goes must not be, lest it is called back:
 * then it would count where it is not. */
static bool wants_rest(const struct closure *closure)
{
    return !core_places() || closure->evict_bytes;
}

/* One try to come to rest. Gate closed on success. */
static int close_once(const struct closure *closure, uint64_t deadline_ns)
{
    int r = gate_close(now_of_device, core.device, deadline_ns);

    if (r < 0)
        return r;
    if (core_capturing() || atomic_load(&core.leaving))
        r = -EBUSY;
#ifndef EBB_WITHOUT_DRAIN
    else if (wants_rest(closure))
        r = core.device->drain(core.device, deadline_ns);
#endif
    if (r < 0)
        gate_open();
    else if (wants_rest(closure))
        stats_add(&core.counters.drains, 1);
    return r;
}

/* The program runs on between two tries: a callback may need what a thread at the gate holds. */
static int close_and_drain(const struct closure *closure)
{
    uint64_t limit_ms = closure->patient ? core.options->drain_ms : IMPATIENT_MS;
    uint64_t deadline_ns = core_now() + limit_ms * 1000000;
    uint64_t try_ns = 1000000000, pause_ns = 1000000;

    for (;;) {
        uint64_t now = core_now(), until = deadline_ns - now < try_ns ? deadline_ns : now + try_ns;
        struct timespec pause = {.tv_nsec = (long)pause_ns};
        int r = close_once(closure, until);

        if (r != -ETIMEDOUT || core_now() >= deadline_ns || atomic_load(&core.leaving))
            return r;
        nanosleep(&pause, 0);
        pause_ns = pause_ns < 64000000 ? pause_ns * 2 : pause_ns;
    }
}

bool closure_could_search(void)
{
    return core.options->disk == DISK_AUTO && !core.roots_unknown && !core_places();
}

bool closure_would_search(void)
{
    return closure_could_search() && (!core.mapped || tier_host_pressed());
}

bool closure_may_unmap(uint32_t first, bool proven)
{
    const struct block *block = &core.blocks.block[first];

    if (block->pins[PIN_REFERENCED] || core_places())
        return false;
    if (block->flags & BLOCK_REGISTERED)
        return true;
    if (core.options->disk == DISK_ALWAYS)
        return true;
    return proven && !(block->flags & (BLOCK_HOLDER | BLOCK_REFERENCED));
}

bool closure_could_evict(uint32_t first, bool proven)
{
    const struct block *block = &core.blocks.block[first];

    if (!block_alive(block) || block_pinned(block))
        return false;
    if (core.options->cacheable == CACHEABLE_REGISTERED && !(block->flags & BLOCK_REGISTERED))
        return false;
    return core.mapped || closure_may_unmap(first, proven);
}

bool closure_may_evict(uint32_t first, bool proven)
{
    return closure_could_evict(first, proven) && !block_in_launch(first);
}

int closure_run(struct closure *closure)
{
    bool searching, proven;
    int r = close_and_drain(closure);

    if (r < 0)
        return r;
    searching =
        (closure->evict_bytes && closure_would_search()) || (closure->unmap_bytes && closure_could_search());
    proven = searching && search_run();

    for (;;) {
        uint64_t evicted = steps_evict(closure, proven), restored = steps_restore(closure);

        closure->evicted_bytes += evicted;
        closure->restored_bytes += restored;
        closure->evict_bytes -= evicted < closure->evict_bytes ? evicted : closure->evict_bytes;
        if (!restored || !closure->evict_bytes)
            break;
    }
    if (closure->unmap_bytes)
        closure->unmapped_bytes = steps_unmap(closure, proven);
    gate_open();
    log_line(LOG_DEBUG, "device %u: %llu KiB evicted, %llu restored, %llu unmapped, %llu wanted to leave%s",
             closure->ordinal, (unsigned long long)closure->evicted_bytes >> 10,
             (unsigned long long)closure->restored_bytes >> 10,
             (unsigned long long)closure->unmapped_bytes >> 10,
             (unsigned long long)closure->evict_bytes >> 10,
             !searching ? ""
             : proven   ? ", searched"
                        : ", the search failed");
    return 0;
}
