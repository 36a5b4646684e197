/* SPDX-License-Identifier: Apache-2.0 */
/* search.c - see search.h. */
#include "search.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "state.h"

enum {
    SPAN_WORDS = 64,    /* looked at together before any of them is looked at closely */
    PIECE_GRANULES = 1, /* what is copied at a time to be searched by the CPU */
    CPU_WRITABLE_MAX_MIB =
        4 /* memory that the CPU writes is searched before each launch: no more than this */
};

/* ---- words -------------------------------------------------------------------------------------------------- */

/* The upper half of a pointer decides almost always: data rarely has it. */
static unsigned suspects(const uint32_t *words, uint32_t upper, uint32_t upper_span)
{
    unsigned found = 0;

    for (unsigned i = 0; i < SPAN_WORDS; i++)
        found |= words[i] - upper <= upper_span;
    return found;
}

void search_words(const void *memory, size_t bytes, uint64_t base, uint64_t span, search_hit_fn hit,
                  void *arg)
{
    const uint32_t *words = memory;
    size_t count = bytes / sizeof(*words);
    uint32_t upper = (uint32_t)(base >> 32), upper_span = (uint32_t)((base + span - 1) >> 32) - upper;

    for (size_t at = 0; at < count; at += SPAN_WORDS) {
        size_t end = at + SPAN_WORDS < count ? at + SPAN_WORDS : count;

        if (end - at == SPAN_WORDS && !suspects(words + at, upper, upper_span))
            continue;
        for (size_t i = at ? at : 1; i < end; i++) {
            uint64_t word;

            if (words[i] - upper > upper_span)
                continue;
            memcpy(&word, words + i - 1, sizeof(word));
            if (word - base < span)
                hit(word, arg);
        }
    }
}

uint64_t search_span(void)
{
    return ((uint64_t)extent_high(&core.arena) + 1) * GRANULE_BYTES;
}

/* ---- everything --------------------------------------------------------------------------------------------- */

/* Memory being searched: which block it belongs to, if any. */
struct place {
    struct block *holder; /* NULL: no block */
    uint64_t searched_bytes;
};

static void refer(uint32_t granule)
{
    uint32_t first;
    struct block *block = blocks_at(&core.blocks, granule, &first);

    if (block)
        block->flags |= BLOCK_REFERENCED;
}

/* core.lock held: flags belong to it. */
static void found(uint64_t word, void *arg)
{
    struct place *place = arg;
    uint32_t granule = address_granule(&core.blocks, word);

    if (place->holder)
        place->holder->flags |= BLOCK_HOLDER;
    refer(granule);
    refer(granule + 1);
    if (granule)
        refer(granule - 1);
}

static void search_cpu(struct place *place, const void *memory, uint64_t bytes)
{
    pthread_mutex_lock(&core.lock);
    search_words(memory, bytes & ~UINT64_C(3), core.blocks.base, search_span(), found, place);
    pthread_mutex_unlock(&core.lock);
    place->searched_bytes += bytes;
}

/* Copy the next piece into a slab. Pieces overlap by 4 bytes, so that a word across their border is seen. */
static int piece_start(struct transfer *transfer, unsigned ordinal, uint64_t address, uint64_t bytes,
                       const struct slab *slab, uint64_t *next)
{
    uint64_t begin = *next ? *next - 4 : 0, left = bytes - begin;

    *transfer = (struct transfer){
        .from = TIER_DEVICE,
        .to = TIER_HOST,
        .ordinal = ordinal,
        .device_address = address + begin,
        .host = &slab->memory,
        .bytes = left < slab->memory.bytes ? left : slab->memory.bytes,
    };
    *next = begin + transfer->bytes;
    return executors_submit(&core.executors, transfer);
}

/* Device memory: with two slabs the CPU searches one piece while the next is copied. */
static int search_device(struct place *place, unsigned ordinal, uint64_t address, uint64_t bytes,
                         struct slab *const slab[2])
{
    struct transfer transfer[2];
    bool both = slab[0] != slab[1];
    uint64_t next = 0;
    unsigned turn = 0;
    int r = piece_start(&transfer[0], ordinal, address, bytes, slab[0], &next);

    while (!r) {
        bool last = next >= bytes;

        r = executors_wait(&core.executors, &transfer[turn]);
        if (r < 0)
            break;
        if (!last && both)
            r = piece_start(&transfer[turn ^ 1], ordinal, address, bytes, slab[turn ^ 1], &next);
        search_cpu(place, slab[turn]->memory.cpu, transfer[turn].bytes);
        if (last)
            break;
        if (!both)
            r = piece_start(&transfer[turn], ordinal, address, bytes, slab[turn], &next);
        turn ^= both;
    }
    return r;
}

struct roots_arg {
    struct slab *const *slab;
    uint64_t cpu_writable_bytes;
    struct place place;
};

static int search_root(const struct root *root, void *arg)
{
    struct roots_arg *roots = arg;

    if (!root->cpu)
        return search_device(&roots->place, root->ordinal, root->address, root->bytes & ~UINT64_C(3),
                             roots->slab);
    search_cpu(&roots->place, root->cpu, root->bytes);
    return 0;
}

static int count_root(const struct root *root, void *arg)
{
    ((struct roots_arg *)arg)->cpu_writable_bytes += root->bytes;
    return 0;
}

static int search_chunk(uint32_t first, uint32_t granule, struct slab *const slab[2],
                        uint64_t *searched_bytes)
{
    struct chunk *chunk = &core.blocks.chunk[granule];
    struct block *block = &core.blocks.block[first];
    struct place place = {.holder = block};
    int r = 0;

    if (chunk->state == CHUNK_RESIDENT)
        r = search_device(&place, block->ordinal, granule_address(&core.blocks, granule), chunk_bytes(chunk),
                          slab);
    else if (chunk->state == CHUNK_HOST && chunk->mapped)
        search_cpu(&place, chunk->slab->memory.cpu, chunk_bytes(chunk));
    else if (chunk->state == CHUNK_BROKEN)
        r = -EIO;
    *searched_bytes += place.searched_bytes;
    return r;
}

/* The next block from `first` on; false when there is none. */
static bool next_alive(uint32_t *first)
{
    uint32_t high = extent_high(&core.arena);
    bool found;

    pthread_mutex_lock(&core.lock);
    while (*first < high && !block_alive(&core.blocks.block[*first]))
        ++*first;
    found = *first < high;
    pthread_mutex_unlock(&core.lock);
    return found;
}

/* Blocks that the program frees from now on stay where they are. */
static void searching(bool on)
{
    pthread_mutex_lock(&core.lock);
    core.searching = on;
    pthread_cond_broadcast(&core.changed);
    pthread_mutex_unlock(&core.lock);
}

/* What an earlier search found is void; what lies unmapped was proven when it was and has not changed since. */
static void forget(void)
{
    pthread_mutex_lock(&core.lock);
    for (uint32_t g = 0, high = extent_high(&core.arena); g < high; g++)
        if (core.blocks.block[g].id)
            core.blocks.block[g].flags &= (uint8_t) ~(BLOCK_HOLDER | BLOCK_REFERENCED);
    pthread_mutex_unlock(&core.lock);
}

static int search_all(struct slab *const slab[2], uint64_t *searched_bytes, const char **out_why)
{
    struct roots_arg roots = {.slab = slab};
    int r = core.device->roots(core.device, true, count_root, &roots, out_why);

    if (r < 0)
        return r;
    if (roots.cpu_writable_bytes > (uint64_t)CPU_WRITABLE_MAX_MIB << 20) {
        *out_why = "more than 4 MiB of pinned or managed memory, which kernels read and the CPU writes";
        return -ENOTSUP;
    }
    forget();
    r = core.device->roots(core.device, false, search_root, &roots, out_why);
    *searched_bytes += roots.place.searched_bytes;
    for (uint32_t first = 0; r >= 0 && next_alive(&first); first++)
        for (uint32_t g = first, more = 1; more && r >= 0; more = g = chunk_next(&core.blocks, first, g))
            r = search_chunk(first, g, slab, searched_bytes);
    return r;
}

bool search_run(void)
{
    struct slab *slab[2];
    uint64_t item[2], since_ns = core_now(), searched_bytes = 0;
    const char *why = 0;
    unsigned taken = 0;
    int r;

    while (taken < 2 && !(r = stock_take(&core.slabs, PIECE_GRANULES * GRANULE_BYTES, 0, &item[taken]))) {
        slab[taken] = (struct slab *)(uintptr_t)item[taken];
        taken++;
    }
    if (taken == 1)
        slab[1] = slab[0];
    searching(true);
    if (taken)
        r = search_all(slab, &searched_bytes, &why);
    searching(false);
    for (unsigned i = 0; i < taken; i++)
        stock_return(&core.slabs, PIECE_GRANULES * GRANULE_BYTES, item[i]);
    stats_add(&core.counters.searches, 1);
    stats_add(&core.counters.searched_bytes, searched_bytes);
    stats_add(&core.counters.search_ns, core_now() - since_ns);
    if (r < 0)
        log_line(LOG_DEBUG, "the search ended early: error %d", -r);
    if (r == -ENOTSUP && why)
        core_roots_unknown(why);
    return r >= 0;
}
