/* SPDX-License-Identifier: Apache-2.0 */
/* placement.c - see placement.h. */
#include "api/placement.h"

#include "engine/mover.h"
#include "ledger/state.h"

/* Would the budget be over its high mark with so much more? */
static bool over_mark(const struct budget *budget, uint64_t more_bytes)
{
    const struct size_spec high = {.kind = SIZE_FRACTION, .ppm = core.options->high_ppm};
    bool over;

    lock_acquire(&core.lock);
    over = budget->limit_bytes != BUDGET_NO_LIMIT &&
           budget->used_bytes + more_bytes > size_resolve(&high, budget->limit_bytes);
    lock_release(&core.lock);
    return over;
}

void placement_enter(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    if (core.options->period_ms && over_mark(&core.devices[block->ordinal].budget, 0))
        mover_send(first, over_mark(&core.host_budget, block->granules * GRANULE_BYTES));
}
