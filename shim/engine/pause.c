/* SPDX-License-Identifier: Apache-2.0 */
/* pause.c - see pause.h. */
#include "engine/pause.h"

#include "base/log.h"
#include "engine/drain.h"
#include "engine/pause_steps.h"
#include "engine/scan.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

/* Pages that the driver itself sends may be in use on their way. A block that goes must not be, lest it is called back:
 * then it would count where it is not. */
static bool wants_rest(const struct pause *pause)
{
    return !core_places() || pause->evict_bytes;
}

bool pause_could_scan(void)
{
    return core.options->disk == DISK_AUTO && !core.roots_unknown && !core_places();
}

bool pause_would_scan(void)
{
    return pause_could_scan() && (!core.mapped || headroom_host_pressed());
}

bool movable_may_unmap(uint32_t first, bool proven)
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

bool movable_could_evict(uint32_t first, bool proven)
{
    const struct block *block = &core.blocks.block[first];

    if (!block_alive(block) || block_pinned(block))
        return false;
    if (core.options->cacheable == CACHEABLE_REGISTERED && !(block->flags & BLOCK_REGISTERED))
        return false;
    return core.mapped || movable_may_unmap(first, proven);
}

bool movable_may_evict(uint32_t first, bool proven)
{
    return movable_could_evict(first, proven) && !block_in_launch(first);
}

int pause_run(struct pause *pause)
{
    bool scanning, proven;
    int r = drain_close(wants_rest(pause), pause->patient ? core.options->drain_ms : DRAIN_MOMENT_MS);

    if (r < 0)
        return r;
    scanning = (pause->evict_bytes && pause_would_scan()) || (pause->unmap_bytes && pause_could_scan());
    proven = scanning && scan_run();

    for (;;) {
        uint64_t evicted = pause_evict(pause, proven), restored = pause_restore(pause);

        pause->evicted_bytes += evicted;
        pause->restored_bytes += restored;
        pause->evict_bytes -= evicted < pause->evict_bytes ? evicted : pause->evict_bytes;
        if (!restored || !pause->evict_bytes)
            break;
    }
    if (pause->unmap_bytes)
        pause->unmapped_bytes = pause_unmap(pause, proven);
    gate_open();
    log_line(LOG_DEBUG, "device %u: %llu KiB evicted, %llu restored, %llu unmapped, %llu wanted to leave%s",
             pause->ordinal, (unsigned long long)pause->evicted_bytes >> 10,
             (unsigned long long)pause->restored_bytes >> 10, (unsigned long long)pause->unmapped_bytes >> 10,
             (unsigned long long)pause->evict_bytes >> 10,
             !scanning ? ""
             : proven  ? ", searched"
                       : ", the search failed");
    return 0;
}
