/* SPDX-License-Identifier: Apache-2.0 */
/* host_share.c - how the host's budget is shared. See share.h. */
#include "ledger/share.h"

#include <errno.h>

#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/share_tier.h"

struct shares host_share_state(void)
{
    struct host_share *host = &core.host_share;
    struct share_tier tier = {
        .books = &host->books,
        .budget = &core.host_budget,
        .staging_bytes = headroom_host_staging(),
        .managed_bytes = core.host_budget.class_bytes[HOST_TIER] + host->ranges_bytes,
    };

    return share_tier_state(&tier);
}

/* ---- device blocks ------------------------------------------------------------------------------------------- */

/* Chunks that rest in host memory and are nowhere else. */
#define IN_HOST (CHUNKS(CHUNK_HOST) | CHUNKS(CHUNK_SPILLING) | CHUNKS(CHUNK_UNMAPPING) | CHUNKS(CHUNK_BROKEN))

void host_share_block(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    struct object *object = &core.blocks.object[first];
    bool is_buffer = block_alive(block) && block->flags & BLOCK_REGISTERED;
    uint64_t bytes = is_buffer ? chunks_bytes(&core.blocks, first, IN_HOST) : 0;

    if (bytes == object->host_bytes)
        return;
    core.host_share.books.bytes[SHARE_BUFFER] += bytes - object->host_bytes;
    core.host_share.books.wanted_bytes += bytes - object->host_bytes;
    object->host_bytes = bytes;
}

/* ---- host blocks --------------------------------------------------------------------------------------------- */

void host_share_move(enum share from, enum share to, uint64_t here_bytes, uint64_t whole_bytes)
{
    lock_acquire(&core.lock);
    share_books_move(&core.host_share.books, from, to, here_bytes, whole_bytes);
    lock_release(&core.lock);
}

int host_share_pin(enum share from, uint64_t here_bytes, uint64_t whole_bytes)
{
    struct share_books *books = &core.host_share.books;
    bool is_buffer = from == SHARE_BUFFER;
    int error;

    lock_acquire(&core.lock);
    if (share_in_force())
        error = shares_admit(host_share_state(), whole_bytes, is_buffer ? here_bytes : 0,
                             is_buffer ? whole_bytes : 0);
    else
        error = shares_over(core.host_budget.limit_bytes, books->bytes[SHARE_OPERATION]) < whole_bytes
                    ? -ENOSPC
                    : 0;
    if (!error)
        share_books_move(books, from, SHARE_OPERATION, here_bytes, whole_bytes);
    lock_release(&core.lock);
    return error;
}

void host_share_moved(enum share share, int64_t bytes)
{
    if (share == SHARE_OPERATION) /* which counts as a whole */
        return;
    lock_acquire(&core.lock);
    core.host_share.books.bytes[share] += (uint64_t)bytes;
    lock_release(&core.lock);
}

int host_share_try(enum host_class class, uint64_t bytes)
{
    uint64_t keep_bytes = headroom_host_staging();
    int error = 0;

    lock_acquire(&core.lock);
    if (core_host_active())
        error = budget_charge(&core.host_budget, class, bytes, keep_bytes);
    core.host_share.ranges_bytes += error ? 0 : bytes;
    lock_release(&core.lock);
    return error;
}

void host_share_force(enum host_class class, uint64_t bytes)
{
    lock_acquire(&core.lock);
    if (core_host_active())
        budget_force(&core.host_budget, class, bytes);
    core.host_share.ranges_bytes += bytes;
    lock_release(&core.lock);
}

void host_share_credit(enum host_class class, uint64_t bytes)
{
    lock_acquire(&core.lock);
    if (core_host_active())
        budget_credit(&core.host_budget, class, bytes);
    core.host_share.ranges_bytes -= bytes;
    lock_release(&core.lock);
}

void host_share_adopt(int64_t bytes)
{
    lock_acquire(&core.lock);
    core.host_share.ranges_bytes += (uint64_t)bytes;
    lock_release(&core.lock);
}

/* ---- keeping to them ----------------------------------------------------------------------------------------- */

struct shares host_share_now(void)
{
    struct shares shares;

    lock_acquire(&core.lock);
    shares = host_share_state();
    lock_release(&core.lock);
    return shares;
}

/* Bytes that leave so that all fits count for the maximum, too. */
static uint64_t excess(const struct shares *shares, uint64_t bytes)
{
    struct shares_excess over = shares_grow_buffers(shares, bytes);

    return over.any_bytes > over.buffer_bytes ? over.any_bytes : over.buffer_bytes;
}

uint64_t host_share_over(uint64_t bytes)
{
    struct shares shares;

    if (!share_in_force())
        return 0;
    shares = host_share_now();
    return excess(&shares, bytes);
}
