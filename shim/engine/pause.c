/* SPDX-License-Identifier: Apache-2.0 */
/* closure.c - see closure.h. */
#include "engine/pause.h"

#include "base/log.h"
#include "engine/drain.h"
#include "engine/pause_steps.h"
#include "engine/scan.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

/* Pages that the driver itself sends may be in use on their way. A block that goes must not be, lest it is called back:
 * then it would count where it is not. */
static bool wants_rest(const struct closure *closure)
{
    return !core_places() || closure->evict_bytes;
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
    int r = rest_close(wants_rest(closure), closure->patient ? core.options->drain_ms : REST_MOMENT_MS);

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
