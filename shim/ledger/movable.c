/* SPDX-License-Identifier: Apache-2.0 */
/* movable.c - see movable.h. */
#include "ledger/movable.h"

#include "ledger/busy.h"
#include "ledger/state.h"

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
