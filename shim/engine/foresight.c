/* SPDX-License-Identifier: Apache-2.0 */
/* foresight.c - see foresight.h. */
#include "engine/foresight.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/pages.h"
#include "engine/core.h"
#include "engine/gate.h"
#include "ledger/state.h"
#include "policy/lookahead.h"

enum {
    RING_WORDS = 1 << 16,
    RINGS = 16,  /* threads that launch; more are not noted */
    DEVICES = 8, /* the first ones */
    ROWS = 1 << 14,
    STAMP_SHIFT = 8 /* of what a ring has of a stamp: 32 bits last six minutes at 3 GHz */
};

#define REST_NS UINT64_C(10000000000)

/* Until the program goes on, beside what a pause itself takes. */
#define RESUME_NS UINT64_C(100000)

enum {
    PAUSE_PART = 8, /* one pause moves what they cost by an eighth */
    DRAIN_PART = 32 /* the shortest wait for a drain is forgotten by so much a pause */
};

/* What a launch is in a ring: then a granule and the low half of an id for each block. */
enum {
    STAMP,
    FUNCTION,
    COUNT,
    WORDS
};

struct launch_ring {
    _Alignas(64) _Atomic uint32_t written; /* words, by the thread */
    _Alignas(64) _Atomic uint32_t read;    /* words, by the mover */
    _Atomic uint32_t word[RING_WORDS];
};

/* What is known of a device. */
struct sight {
    struct lookahead lookahead;
    struct history history[RINGS];
    uint32_t word[RINGS][HISTORY_WORDS];
    struct outlook_block block[ROWS];
    uint64_t came, early; /* granules, since the last look: for somebody, and before anybody wanted them */
    bool begun;
};

/* Whose a row is. The rows of all devices have one numbering. */
struct row {
    uint64_t id; /* of the block; 0: nobody's */
    uint32_t first;
    uint32_t next; /* free one, and one */
    uint8_t ordinal;
    bool is_expected; /* before it is wanted */
};

static struct {
    struct sight *sight; /* of each device; NULL: there are no tables */
    uint32_t *row_of;    /* by first granule: row and one */
    struct row *row;
    uint32_t rows, free_row; /* taken once; the first free one, and one */
    uint32_t low, oldest_at, oldest_count;
    uint32_t oldest[FORESIGHT_OLDEST];
    uint32_t expected[PLAN_BATCH_BLOCKS], expected_count; /* rows */
    uint64_t pause_bytes;                                 /* what one costs */
    uint64_t drain_ns;                                    /* the shortest one */
    uint64_t quiet_ns; /* the monitor's: nothing is away since; 0: something is */
    _Atomic uint32_t rings;
    struct launch_ring *_Atomic ring[RINGS];
} foresight;

void foresight_start(void)
{
    foresight.pause_bytes = GUARD_PAUSE_BYTES;
    if (!foresight.row)
        foresight.row = pages_reserve(ROWS * sizeof(*foresight.row));
    if (!foresight.row_of)
        foresight.row_of = pages_reserve(core.blocks.granules * sizeof(*foresight.row_of));
    if (!foresight.sight && foresight.row && foresight.row_of)
        foresight.sight = pages_reserve(DEVICES * sizeof(*foresight.sight));
}

/* ---- noting ----------------------------------------------------------------------------------------------------- */

static struct launch_ring *take_ring(void)
{
    uint32_t number = atomic_fetch_add(&foresight.rings, 1);
    struct launch_ring *ring;

    if (number >= RINGS) {
        atomic_store(&foresight.rings, RINGS);
        return NULL;
    }
    ring = pages_reserve(sizeof(*ring));
    atomic_store_explicit(&foresight.ring[number], ring, memory_order_release);
    return ring;
}

/* The id of a block that the program uses: it is not freed meanwhile, unless by mistake, or the word was no pointer. */
__attribute__((no_sanitize("thread"))) static uint32_t id_of(uint32_t first)
{
    return (uint32_t)core.blocks.block[first].id;
}

static uint32_t put(struct launch_ring *ring, uint32_t at, uint32_t word)
{
    atomic_store_explicit(&ring->word[at % RING_WORDS], word, memory_order_relaxed);
    return at + 1;
}

/* Blocks at these granules, each once among those of the launch. */
static uint32_t put_blocks(struct launch_ring *ring, uint32_t begin, uint32_t at, const uint32_t *granule,
                           uint32_t count)
{
    for (uint32_t i = 0; i < count && at - begin < 2 * USE_INLINE; i++) {
        uint32_t first = owner_at(&core.blocks, granule[i]) & ~OWNER_FLAGS, before = begin;

        while (first && before != at &&
               atomic_load_explicit(&ring->word[before % RING_WORDS], memory_order_relaxed) != first - 1)
            before += 2;
        if (first && before == at)
            at = put(ring, put(ring, at, first - 1), id_of(first - 1));
    }
    return at;
}

void foresight_note(const struct use *use)
{
    struct gate_slot *slot = gate_slot_mine;
    struct launch_ring *ring;
    uint32_t begin, at;

    if (!slot || !foresight.sight || (!use->count && !use->more_count))
        return;
    if (!slot->ring && !(slot->ring = take_ring()))
        return;
    ring = slot->ring;
    begin = atomic_load_explicit(&ring->written, memory_order_relaxed);
    if (begin - atomic_load_explicit(&ring->read, memory_order_acquire) > RING_WORDS - WORDS - 2 * USE_INLINE)
        return;
    at = put_blocks(ring, begin + WORDS, begin + WORDS, use->granule, use->count);
    at = put_blocks(ring, begin + WORDS, at, use->more, use->more_count);
    put(ring, begin + STAMP, (uint32_t)(core_stamp() >> STAMP_SHIFT));
    put(ring, begin + FUNCTION, use->kernel ? (uint32_t)((uintptr_t)use->launched >> 4) : use->writes);
    put(ring, begin + COUNT, (at - begin - WORDS) / 2);
    atomic_store_explicit(&ring->written, at, memory_order_release);
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static struct outlook *outlook_of(uint32_t row)
{
    return &foresight.sight[foresight.row[row].ordinal].lookahead.outlook;
}

static void begin_sight(unsigned ordinal)
{
    struct sight *sight = &foresight.sight[ordinal];

    for (unsigned i = 0; i < RINGS; i++)
        history_init(&sight->history[i], sight->word[i]);
    lookahead_init(&sight->lookahead, 0, sight->block, ROWS, sight->history, RINGS);
    sight->begun = true;
}

/* It came early, and is gone before anybody wanted it. */
static void count_unused(uint32_t index)
{
    const struct outlook_block *block = &foresight.sight[foresight.row[index].ordinal].block[index];

    if (block->is_early)
        counters_add(&core.counters.unused_bytes, block->granules * GRANULE_BYTES);
}

static void drop_row(uint32_t index)
{
    struct row *row = &foresight.row[index];

    count_unused(index);
    lookahead_free(&foresight.sight[row->ordinal].lookahead, index);
    if (foresight.row_of[row->first] == index + 1)
        foresight.row_of[row->first] = 0;
    *row = (struct row){.next = foresight.free_row};
    foresight.free_row = index + 1;
}

static void take_row(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];
    uint32_t index = foresight.free_row ? foresight.free_row - 1 : foresight.rows;

    if (index == ROWS)
        return;
    if (foresight.free_row)
        foresight.free_row = foresight.row[index].next;
    else
        foresight.rows++;
    foresight.row[index] = (struct row){block->id, first, 0, block->ordinal, false};
    foresight.row_of[first] = index + 1;
    if (!foresight.sight[block->ordinal].begun)
        begin_sight(block->ordinal);
    lookahead_make(&foresight.sight[block->ordinal].lookahead, index, block->granules);
}

/* Rows are those of the blocks that live now. */
static void settle_rows(void)
{
    for (uint32_t i = 0; i < foresight.rows; i++) {
        const struct block *block = &core.blocks.block[foresight.row[i].first];

        if (foresight.row[i].id && (block->id != foresight.row[i].id || !block_alive(block)))
            drop_row(i);
    }
    blocks_each(first, &core.blocks) {
        const struct block *block = &core.blocks.block[first];

        if (block_alive(block) && block->ordinal < DEVICES && !foresight.row_of[first])
            take_row(first);
    }
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static uint32_t get(const struct launch_ring *ring, uint32_t at)
{
    return atomic_load_explicit(&ring->word[at % RING_WORDS], memory_order_relaxed);
}

/* Those of the launch's blocks that lie on a device. */
static void note_on(unsigned ordinal, unsigned number, const struct launch_ring *ring, uint32_t at)
{
    struct sight *sight = &foresight.sight[ordinal];
    uint32_t name[USE_INLINE], count = 0;
    uint64_t hits = sight->lookahead.hits;
    uint32_t given_up = sight->lookahead.guard.given_up;

    for (uint32_t i = 0; i < get(ring, at + COUNT); i++) {
        uint32_t row = foresight.row_of[get(ring, at + WORDS + 2 * i)];

        if (row && (uint32_t)foresight.row[row - 1].id == get(ring, at + WORDS + 2 * i + 1) &&
            foresight.row[row - 1].ordinal == ordinal)
            name[count++] = outlook_name(outlook_of(row - 1), row - 1);
    }
    if (!count)
        return;
    lookahead_launch(&sight->lookahead, number, &(struct launch){get(ring, at + FUNCTION), count, name});
    counters_add(sight->lookahead.hits > hits ? &core.counters.launches_foretold
                                              : &core.counters.launches_unforetold,
                 1);
    counters_add(&core.counters.forecasts_given_up, sight->lookahead.guard.given_up - given_up);
}

/* The ring whose next launch is the oldest; RINGS: nothing is left. */
static unsigned next_ring(void)
{
    uint32_t oldest = 0;
    unsigned best = RINGS;

    for (unsigned i = 0; i < RINGS; i++) {
        const struct launch_ring *ring = atomic_load_explicit(&foresight.ring[i], memory_order_acquire);
        uint32_t read, stamp;

        if (!ring)
            continue;
        read = atomic_load_explicit(&ring->read, memory_order_relaxed);
        if (read == atomic_load_explicit(&ring->written, memory_order_acquire))
            continue;
        stamp = get(ring, read + STAMP);
        if (best == RINGS || (int32_t)(stamp - oldest) < 0) {
            oldest = stamp;
            best = i;
        }
    }
    return best;
}

static void read_rings(void)
{
    for (unsigned number; (number = next_ring()) < RINGS;) {
        struct launch_ring *ring = atomic_load_explicit(&foresight.ring[number], memory_order_relaxed);
        uint32_t at = atomic_load_explicit(&ring->read, memory_order_relaxed);

        for (unsigned i = 0; i < DEVICES && i < core.device->count; i++)
            if (foresight.sight[i].begun)
                note_on(i, number, ring, at);
        atomic_store_explicit(&ring->read, at + WORDS + 2 * get(ring, at + COUNT), memory_order_release);
    }
}

bool foresight_waits(void)
{
    for (unsigned i = 0; i < RINGS; i++) {
        const struct launch_ring *ring = atomic_load_explicit(&foresight.ring[i], memory_order_acquire);

        if (ring && atomic_load(&ring->written) - atomic_load(&ring->read) > RING_WORDS / 2)
            return true;
    }
    return false;
}

/* Without a limit of ours the device has one. */
static uint64_t limit_of(unsigned ordinal)
{
    const struct device_state *device = &core.devices[ordinal];
    uint64_t limit_bytes = device->budget.limit_bytes;

    return device->total_bytes && device->total_bytes < limit_bytes ? device->total_bytes : limit_bytes;
}

static uint64_t room_of(unsigned ordinal)
{
    uint64_t reserve = core.devices[ordinal].chunk_max_granules, granules = limit_of(ordinal) / GRANULE_BYTES;

    if (granules > OUTLOOK_BLOCKS_MAX)
        granules = OUTLOOK_BLOCKS_MAX;
    return granules > reserve ? granules - reserve : 0;
}

bool foresight_update(void)
{
    bool is_known = false;

    if (!foresight.sight || !(atomic_load(&core.attention) & ATTENTION_NOTE))
        return false;
    settle_rows();
    for (unsigned i = 0; i < DEVICES; i++) {
        struct sight *sight = &foresight.sight[i];

        if (!sight->begun)
            continue;
        guard_resize(&sight->lookahead.guard, room_of(i));
        sight->lookahead.guard.pause_bytes = foresight.pause_bytes;
        if (sight->came || sight->early)
            lookahead_paused(&sight->lookahead, sight->came, sight->early);
        sight->came = sight->early = 0;
    }
    read_rings();
    for (unsigned i = 0; i < DEVICES; i++) {
        if (!foresight.sight[i].begun)
            continue;
        lookahead_plan(&foresight.sight[i].lookahead);
        is_known = is_known || foresight.sight[i].lookahead.ruler != GUARD_LRU;
    }
    return is_known;
}

static bool has_row(uint32_t first)
{
    uint32_t row = foresight.sight ? foresight.row_of[first] : 0;

    return row && foresight.row[row - 1].id == core.blocks.block[first].id;
}

/* Of a block that has a row. */
static struct sight *sight_of(uint32_t first, uint32_t *out_row)
{
    *out_row = foresight.row_of[first] - 1;
    return &foresight.sight[foresight.row[*out_row].ordinal];
}

uint32_t foresight_ahead(uint32_t first)
{
    const struct sight *sight;
    uint32_t row;

    if (!has_row(first))
        return 0;
    sight = sight_of(first, &row);
    return lookahead_turn(&sight->lookahead, row).ahead;
}

/* ---- batches ---------------------------------------------------------------------------------------------------- */

bool foresight_batches(unsigned ordinal)
{
    return foresight.sight && ordinal < DEVICES && foresight.sight[ordinal].begun &&
           lookahead_batches(&foresight.sight[ordinal].lookahead);
}

bool foresight_tell(uint32_t first, struct plan_block *block)
{
    const struct sight *sight;
    uint32_t row;

    if (!has_row(first))
        return false;
    sight = sight_of(first, &row);
    block->turn = lookahead_turn(&sight->lookahead, row);
    block->trust = sight->block[row].trust[OUTLOOK_BY_ORDER];
    return block->turn.is_foretold;
}

size_t foresight_list(unsigned ordinal, bool (*may_come)(uint32_t first, void *arg), void *arg,
                      struct plan_block *list)
{
    size_t count = 0;

    for (uint32_t i = 0; i < foresight.rows; i++) {
        uint32_t first = foresight.row[i].first;
        struct plan_block block = {.index = first};

        if (!foresight.row[i].id || foresight.row[i].ordinal != ordinal || !has_row(first) ||
            !may_come(first, arg) || !foresight_tell(first, &block))
            continue;
        block.granules = core.blocks.block[first].granules;
        block.chunk = core.blocks.block[first].chunk_granules;
        plan_list(list, &count, &block);
    }
    return count;
}

void foresight_paused(uint64_t drain_ns, uint64_t ns, uint64_t move_ns, uint64_t bytes)
{
    uint64_t lost_ns, cost_bytes;

    /* To wait for work that was given to the devices is no loss: what it takes without any is. */
    foresight.drain_ns += foresight.drain_ns / DRAIN_PART;
    if (drain_ns < foresight.drain_ns || !foresight.drain_ns)
        foresight.drain_ns = drain_ns;
    lost_ns = foresight.drain_ns + (ns > move_ns ? ns - move_ns : 0) + RESUME_NS;
    if (!move_ns || !bytes)
        return;
    cost_bytes = (uint64_t)((double)bytes * (double)lost_ns / (double)move_ns);
    if (cost_bytes > 4 * GUARD_PAUSE_BYTES) /* somebody else had the processor */
        cost_bytes = 4 * GUARD_PAUSE_BYTES;
    foresight.pause_bytes += cost_bytes / PAUSE_PART - foresight.pause_bytes / PAUSE_PART;
}

uint64_t foresight_pause_bytes(void)
{
    return foresight.pause_bytes;
}

void foresight_expect(const uint32_t *firsts, uint32_t count)
{
    if (!foresight.sight)
        return;
    for (uint32_t i = 0; i < foresight.expected_count; i++)
        foresight.row[foresight.expected[i]].is_expected = false;
    foresight.expected_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (has_row(firsts[i])) {
            foresight.expected[foresight.expected_count] = foresight.row_of[firsts[i]] - 1;
            foresight.row[foresight.expected[foresight.expected_count++]].is_expected = true;
        }
}

/* ---- moves ------------------------------------------------------------------------------------------------------ */

void foresight_oldest(uint32_t low, const uint32_t *list, uint32_t count)
{
    foresight.oldest_at = 0;
    foresight.oldest_count = count;
    for (uint32_t i = 0; i < count; i++)
        foresight.oldest[i] = low + list[i];
}

/* The row of who would leave a device now by LRU. */
static uint32_t oldest_row(unsigned ordinal)
{
    for (; foresight.oldest_at < foresight.oldest_count; foresight.oldest_at++) {
        uint32_t first = foresight.oldest[foresight.oldest_at];

        if (has_row(first) && core.blocks.block[first].ordinal == ordinal &&
            chunks_bytes(&core.blocks, first, CHUNKS(CHUNK_RESIDENT)))
            return foresight.row_of[first] - 1;
    }
    return OUTLOOK_NOBODY;
}

/* Under the lock: it holds 7/8 of what it may. */
static bool is_nearly_full(unsigned ordinal)
{
    return core.devices[ordinal].budget.used_bytes >= limit_of(ordinal) / 8 * 7;
}

void foresight_made(unsigned ordinal)
{
    if (foresight.sight && is_nearly_full(ordinal))
        atomic_fetch_or(&core.attention, ATTENTION_NOTE);
}

void foresight_left(uint32_t first)
{
    uint32_t row;

    if (!foresight.sight)
        return;
    atomic_fetch_or(&core.attention, ATTENTION_NOTE);
    if (!has_row(first))
        return;
    row = foresight.row_of[first] - 1;
    count_unused(row);
    lookahead_leave(&foresight.sight[foresight.row[row].ordinal].lookahead, row,
                    oldest_row(foresight.row[row].ordinal));
}

void foresight_came(uint32_t first, uint32_t granules)
{
    struct sight *sight;
    uint32_t row;

    if (!has_row(first))
        return;
    sight = sight_of(first, &row);
    if (!foresight.row[row].is_expected) {
        sight->came += granules;
        return;
    }
    sight->early += granules;
    counters_add(&core.counters.early_bytes, granules * GRANULE_BYTES);
    if (!sight->block[row].is_early)
        lookahead_come_early(&sight->lookahead, row);
}

void foresight_forked(void)
{
    foresight.sight = NULL;
    atomic_fetch_and(&core.attention, ~ATTENTION_NOTE);
}

/* Some device is short of memory, or will soon be. */
static bool is_short(void)
{
    bool is_short = false;

    lock_acquire(&core.lock);
    for (unsigned i = 0; i < core.device->count; i++)
        is_short = is_short || atomic_load(&core.devices[i].away_bytes) ||
                   (core.devices[i].ready && is_nearly_full(i));
    lock_release(&core.lock);
    return is_short;
}

void foresight_rest(uint64_t now_ns)
{
    if (!(atomic_load(&core.attention) & ATTENTION_NOTE))
        return;
    if (is_short())
        foresight.quiet_ns = 0;
    else if (!foresight.quiet_ns)
        foresight.quiet_ns = now_ns;
    else if (now_ns - foresight.quiet_ns >= REST_NS) {
        foresight.quiet_ns = 0;
        atomic_fetch_and(&core.attention, ~ATTENTION_NOTE);
    }
}
