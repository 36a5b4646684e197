/* SPDX-License-Identifier: Apache-2.0 */
/* pause.c - see pause.h. */
#include "engine/pause.h"

#include "base/log.h"
#include "engine/drain.h"
#include "engine/gate.h"
#include "engine/pause_step.h"
#include "engine/scan.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

/* Pages that the driver itself sends may be in use on their way. A block that goes must not be, lest it is called back:
 * then it would count where it is not. */
static bool wants_rest(const struct pause_plan *plan)
{
    return !core_places() || plan->evict_bytes;
}

bool pause_could_scan(void)
{
    return core.options->disk == DISK_AUTO && !core.roots_unknown && !core_places();
}

bool pause_would_scan(void)
{
    return pause_could_scan() && (!core.mapped || headroom_host_pressed());
}

struct pause_result pause_run(const struct pause_plan *plan)
{
    struct pause_plan left = *plan;
    struct pause_result result = {
        .error = drain_close(wants_rest(plan), plan->patient ? core.options->drain_ms : DRAIN_MOMENT_MS)};
    bool is_scanned, is_proven;

    if (result.error < 0)
        return result;
    is_scanned = (plan->evict_bytes && pause_would_scan()) || (plan->unmap_bytes && pause_could_scan());
    is_proven = is_scanned && scan_run();

    for (;;) {
        uint64_t evicted_bytes = pause_evict(&left, is_proven), restored_bytes = pause_restore(&left);

        result.evicted_bytes += evicted_bytes;
        result.restored_bytes += restored_bytes;
        left.evict_bytes -= evicted_bytes < left.evict_bytes ? evicted_bytes : left.evict_bytes;
        if (!restored_bytes || !left.evict_bytes)
            break;
    }
    if (plan->unmap_bytes)
        result.unmapped_bytes = pause_unmap(plan, is_proven);
    gate_open();
    log_line(LOG_DEBUG, "device %u: %llu KiB evicted, %llu restored, %llu unmapped, %llu wanted to leave%s",
             plan->ordinal, (unsigned long long)result.evicted_bytes >> 10,
             (unsigned long long)result.restored_bytes >> 10, (unsigned long long)result.unmapped_bytes >> 10,
             (unsigned long long)left.evict_bytes >> 10,
             !is_scanned ? ""
             : is_proven ? ", scanned"
                         : ", the scan failed");
    return result;
}
