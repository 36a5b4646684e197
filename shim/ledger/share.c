/* SPDX-License-Identifier: Apache-2.0 */
/* share.c - see share.h. */
#include "ledger/share.h"

#include <errno.h>

#include "base/compiler.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

bool share_in_force(void)
{
    return atomic_load_explicit(&core.shares_in_force, memory_order_relaxed);
}

void share_start(void)
{
    const struct share_option *operations = &core.options->operations, *buffers = &core.options->buffers;
    bool used = atomic_load(&core.shares_used), asked = !operations->with_api || !buffers->with_api;

    atomic_store(&core.shares_in_force, !operations->off && !buffers->off && (used || asked));
}

void share_begin(void)
{
    if (atomic_load_explicit(&core.shares_used, memory_order_relaxed))
        return;
    atomic_store(&core.shares_used, true);
    share_start();
}

/* ---- a tier, be it a device or the host: inline, since a pin asks all of it ---------------------------- */

struct share_tier {
    struct share_books *books;
    const struct budget *budget;
    uint64_t staging_bytes;  /* of the budget, kept for exchanges: no capacity */
    uint64_t managed_bytes;  /* of what is used, what shares divide */
    uint64_t reserved_bytes; /* of what is used, operations with nothing behind them yet */
    uint64_t others_bytes;   /* that the budget allows us and others have */
};

static ALWAYS_INLINE struct share_bounds share_bounds(const struct share_option *option)
{
    return (struct share_bounds){option->min_ppm, option->max_ppm};
}

/* Limits are worked out again only when what they come from has changed. */
static ALWAYS_INLINE const struct share_limits *share_tier_limits(const struct share_tier *tier)
{
    struct share_memo *memo = &tier->books->memo;
    uint64_t limit = tier->budget->limit_bytes;
    uint64_t capacity = limit == BUDGET_NO_LIMIT ? UINT64_MAX : shares_over(limit, tier->staging_bytes);
    uint64_t untracked = tier->budget->used_bytes - tier->managed_bytes - tier->reserved_bytes +
                         tier->books->bytes[SHARE_FIXED] + tier->others_bytes;

    if (UNLIKELY(memo->capacity_bytes != capacity || memo->untracked_bytes != untracked))
        *memo = (struct share_memo){capacity, untracked,
                                    shares_limit(capacity, untracked, share_bounds(&core.options->operations),
                                                 share_bounds(&core.options->buffers))};
    return &memo->limits;
}

static ALWAYS_INLINE struct shares share_tier_state(const struct share_tier *tier)
{
    const struct share_books *books = tier->books;
    uint64_t counted = books->bytes[SHARE_FIXED] + books->bytes[SHARE_BUFFER] + books->bytes[SHARE_OPERATION];

    return (struct shares){
        .limits = *share_tier_limits(tier),
        .operations_bytes = books->bytes[SHARE_OPERATION] + tier->reserved_bytes,
        .buffers_bytes = books->bytes[SHARE_BUFFER],
        /* Bytes on their way count as loose; a block that is pinned and not back yet counts already. */
        .loose_bytes = shares_over(tier->managed_bytes, counted),
        .demand_bytes = books->wanted_bytes,
    };
}

/* May operations grow by `bytes`, of which the block is a part that has been in a share? Buffers are less by what of it
 * is here, and want less by the whole of it. */
static ALWAYS_INLINE int admit(struct shares shares, uint64_t bytes, enum share from, uint64_t here_bytes,
                               uint64_t whole_bytes)
{
    uint64_t evict_bytes;

    if (from == SHARE_BUFFER) {
        shares.buffers_bytes -= here_bytes;
        shares.demand_bytes -= whole_bytes;
    }
    return shares_grow_operations(&shares, bytes, &evict_bytes);
}

/* A block, `here_bytes` of `whole_bytes` in the tier, counts elsewhere: operations count as a whole, all else by what
 * is here. */
static ALWAYS_INLINE void share_books_move(struct share_books *books, enum share from, enum share to,
                                           uint64_t here_bytes, uint64_t whole_bytes)
{
    if (from != SHARE_LOOSE)
        books->bytes[from] -= from == SHARE_OPERATION ? whole_bytes : here_bytes;
    if (to != SHARE_LOOSE)
        books->bytes[to] += to == SHARE_OPERATION ? whole_bytes : here_bytes;
    if (from == SHARE_BUFFER)
        books->wanted_bytes -= whole_bytes;
    if (to == SHARE_BUFFER)
        books->wanted_bytes += whole_bytes;
}

/* ---- a device ------------------------------------------------------------------------------------------ */

static enum share share_of(const struct block *block)
{
    if (!block_alive(block))
        return SHARE_LOOSE;
    if (block->pins[PIN_API])
        return SHARE_OPERATION;
    if (block_pinned(block))
        return SHARE_FIXED;
    return block->flags & BLOCK_REGISTERED ? SHARE_BUFFER : SHARE_LOOSE;
}

static ALWAYS_INLINE uint64_t resident(uint32_t first)
{
    uint32_t entry = owner_entry(&core.blocks, first);

    if (UNLIKELY(!entry || entry & OWNER_AWAY))
        return chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT) | CHUNKS(CHUNK_LEAVING));
    return core.blocks.block[first].granules * GRANULE_BYTES;
}

uint64_t share_resident(uint32_t first)
{
    return resident(first);
}

static const uint8_t queue_of[SHARE_COUNT] = {
    [SHARE_OPERATION] = QUEUE_OPERATIONS, [SHARE_BUFFER] = QUEUE_BUFFERS};

/* @here_bytes  of the block on the device: what it counts as, unless it is an operation and counts as a whole */
static ALWAYS_INLINE void recount(uint32_t first, enum share from, enum share to, uint64_t here_bytes)
{
    struct block *block = &core.blocks.block[first];
    struct device_state *device = &core.devices[block->ordinal];

    share_books_move(&device->shares, from, to, here_bytes, block->granules * GRANULE_BYTES);
    block->share = (uint8_t)to;
    if (queue_of[from] != queue_of[to])
        queues_move(&device->queues, &core.blocks.object[first].entry, (enum queue)queue_of[to]);
}

void share_update(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    enum share from = block->share, to = share_of(block);

    if (from != to)
        recount(first, from, to, resident(first));
    host_share_block(first);
}

void share_moved(uint32_t first, int64_t bytes)
{
    const struct block *block = &core.blocks.block[first];

    if (block->share == SHARE_BUFFER || block->share == SHARE_FIXED) /* what counts by its resident bytes */
        core.devices[block->ordinal].shares.bytes[block->share] += (uint64_t)bytes;
}

static ALWAYS_INLINE struct shares state_of(struct device_state *device)
{
    const struct budget *budget = &device->budget;
    uint64_t others = atomic_load_explicit(&device->others_bytes, memory_order_relaxed);

    /* Others' use counts as far as it takes what the budget would have us use. */
    if (UNLIKELY(others && budget->limit_bytes != BUDGET_NO_LIMIT))
        others = shares_over(budget->limit_bytes + others, device->total_bytes);
    else
        others = 0;
    return share_tier_state(&(struct share_tier){
        .books = &device->shares,
        .budget = budget,
        .staging_bytes = device->chunk_max_granules * GRANULE_BYTES,
        .managed_bytes = budget->class_bytes[CLASS_BLOCK],
        .reserved_bytes = budget->class_bytes[CLASS_RESERVED],
        .others_bytes = others,
    });
}

struct shares share_state(unsigned ordinal)
{
    return state_of(&core.devices[ordinal]);
}

static ALWAYS_INLINE bool is_unsettled(struct device_state *device)
{
    struct shares shares = state_of(device);
    struct shares_excess over = shares_grow_buffers(&shares, 0);

    return over.any_bytes || over.buffer_bytes;
}

int share_admit(unsigned ordinal, uint64_t bytes, uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    if (!share_in_force())
        return 0;
    if (first == BLOCK_NONE)
        return admit(share_state(ordinal), bytes, SHARE_LOOSE, 0, 0);
    return admit(share_state(ordinal), bytes, block->share, resident(first), block->granules * GRANULE_BYTES);
}

bool share_has_place(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    struct shares shares = share_state(block->ordinal);
    uint64_t bytes = block->granules * GRANULE_BYTES;

    shares.buffers_bytes = shares.loose_bytes = 0;
    return !share_in_force() || block->share == SHARE_OPERATION || resident(first) == bytes ||
           !shares_overbooked(&shares, bytes);
}

bool share_unsettled(unsigned ordinal)
{
    return share_in_force() && is_unsettled(&core.devices[ordinal]);
}

/* Both are called all the time, and for blocks that are buffers otherwise. */
int share_pin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];
    uint64_t bytes = block->granules * GRANULE_BYTES, here_bytes = resident(first);
    enum share from = block->share;

    if (share_in_force() &&
        admit(state_of(&core.devices[block->ordinal]), bytes, from, here_bytes, bytes) < 0)
        return -ENOSPC;
    block->pins[PIN_API]++;
    if (from == SHARE_BUFFER)
        recount(first, SHARE_BUFFER, SHARE_OPERATION, here_bytes);
    else
        share_update(first);
    return 0;
}

bool share_unpin(uint32_t first)
{
    struct block *block = &core.blocks.block[first];

    block->pins[PIN_API]--;
    if (share_of(block) == SHARE_BUFFER)
        recount(first, SHARE_OPERATION, SHARE_BUFFER, resident(first));
    else
        share_update(first);
    return share_in_force() && is_unsettled(&core.devices[block->ordinal]);
}

/* ---- the host: the whole ------------------------------------------------------------------------------- */

struct shares host_share_state(void)
{
    struct host_share *host = &core.host_share;

    return share_tier_state(&(struct share_tier){
        .books = &host->books,
        .budget = &core.host_budget,
        .staging_bytes = headroom_host_staging(),
        .managed_bytes = core.host_budget.class_bytes[HOST_TIER] + host->ranges_bytes,
    });
}

/* ---- the host: device blocks --------------------------------------------------------------------------- */

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

/* ---- the host: host blocks ----------------------------------------------------------------------------- */

void host_share_move(enum share from, enum share to, uint64_t here_bytes, uint64_t whole_bytes)
{
    lock_acquire(&core.lock);
    share_books_move(&core.host_share.books, from, to, here_bytes, whole_bytes);
    lock_release(&core.lock);
}

int host_share_pin(enum share from, uint64_t here_bytes, uint64_t whole_bytes)
{
    struct share_books *books = &core.host_share.books;
    int error = 0;

    lock_acquire(&core.lock);
    if (share_in_force())
        error = admit(host_share_state(), whole_bytes, from, here_bytes, whole_bytes);
    else if (shares_over(core.host_budget.limit_bytes, books->bytes[SHARE_OPERATION]) < whole_bytes)
        error = -ENOSPC;
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

/* ---- the host: keeping to them ------------------------------------------------------------------------- */

struct shares host_share_now(void)
{
    struct shares shares;

    lock_acquire(&core.lock);
    shares = host_share_state();
    lock_release(&core.lock);
    return shares;
}

uint64_t host_share_over(uint64_t bytes)
{
    struct shares_excess over;
    struct shares shares;

    if (!share_in_force())
        return 0;
    shares = host_share_now();
    over = shares_grow_buffers(&shares, bytes);
    /* Bytes that leave so that all fits count for the maximum, too. */
    return over.any_bytes > over.buffer_bytes ? over.any_bytes : over.buffer_bytes;
}
