/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - see scan.h. */
#include "engine/scan.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/core.h"
#include "engine/scan_device.h"
#include "ledger/state.h"

enum {
    SPAN_WORDS = 64,         /* looked at together before any of them is looked at closely */
    PIECE_GRANULES = 1,      /* what is copied at a time to be scanned by the CPU */
    CPU_WRITABLE_MAX_MIB = 4 /* memory that the CPU writes is scanned before each launch: no more than this */
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

void scan_words(const void *memory, size_t bytes, uint64_t base, uint64_t span, scan_hit_fn hit, void *arg)
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

uint64_t scan_span(void)
{
    return ((uint64_t)extent_high(&core.blocks.arena) + 1) * GRANULE_BYTES;
}

/* ---- what a call points at --------------------------------------------------------------------------------- */

static void source_hit(uint64_t word, void *arg)
{
    use_word(arg, word);
}

/* Words at an address that is no multiple of 4, by way of a buffer that is; pieces overlap by 4 bytes. */
static void scan_unaligned(struct use *use, const char *memory, size_t bytes)
{
    _Alignas(8) char piece[4096];

    for (size_t at = 0; at + 8 <= bytes; at += sizeof(piece) - 4) {
        size_t size = bytes - at < sizeof(piece) ? bytes - at : sizeof(piece);

        memcpy(piece, memory + at, size);
        scan_words(piece, size & ~(size_t)3, core.blocks.base, scan_span(), source_hit, use);
    }
}

void use_source(struct use *use, const void *memory, size_t bytes)
{
    enum {
        SMALL_BYTES = 64 << 10
    };

    if (!memory || (bytes > SMALL_BYTES && !atomic_load_explicit(&core.away_unproven, memory_order_relaxed)))
        return;
    if ((uintptr_t)memory & 3)
        scan_unaligned(use, memory, bytes);
    else
        scan_words(memory, bytes & ~(size_t)3, core.blocks.base, scan_span(), source_hit, use);
}

static int scan_cpu_root(const struct root *root, void *arg)
{
    if (root->cpu)
        scan_words(root->cpu, root->bytes & ~UINT64_C(3), core.blocks.base, scan_span(), source_hit, arg);
    return 0;
}

void scan_cpu_roots(struct use *use)
{
    const char *why;

    core.device->roots(core.device, true, scan_cpu_root, use, &why);
}

/* ---- everything --------------------------------------------------------------------------------------------- */

/* One scan. */
struct scan_pass {
    struct slab *slab[2]; /* pieces are copied here for the CPU; the same one twice where there is only one */
    struct slab *results; /* of the device's own scan; NULL: the CPU scans everything */
    uint32_t holder;      /* granule of the block being scanned, or SCAN_DEVICE_ROOT */
    uint64_t cpu_writable_bytes;
    uint64_t scanned_bytes;
};

static void refer(uint32_t granule)
{
    uint32_t first;
    struct block *block = blocks_at(&core.blocks, granule, &first);

    if (block)
        block->flags |= BLOCK_REFERENCED;
}

void scan_refer(uint32_t granule)
{
    refer(granule);
    refer(granule + 1);
    if (granule)
        refer(granule - 1);
}

void scan_hold(uint32_t granule)
{
    uint32_t first;
    struct block *block = blocks_at(&core.blocks, granule, &first);

    if (block)
        block->flags |= BLOCK_HOLDER;
}

/* core.lock held: flags belong to it. */
static void found(uint64_t word, void *arg)
{
    const struct scan_pass *scan = arg;

    if (scan->holder != SCAN_DEVICE_ROOT)
        scan_hold(scan->holder);
    scan_refer(address_granule(&core.blocks, word));
}

static void scan_cpu(struct scan_pass *scan, const void *memory, uint64_t bytes)
{
    lock_acquire(&core.lock);
    scan_words(memory, bytes & ~UINT64_C(3), core.blocks.base, scan_span(), found, scan);
    lock_release(&core.lock);
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

/* With two slabs the CPU scans one piece while the next is copied. */
static int scan_copies(struct scan_pass *scan, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    struct slab *const *slab = scan->slab;
    struct transfer transfer[2];
    bool both = slab[0] != slab[1];
    uint64_t next = 0;
    unsigned turn = 0;
    int error = piece_start(&transfer[0], ordinal, address, bytes, slab[0], &next);

    while (!error) {
        bool last = next >= bytes;

        error = executors_wait(&core.executors, &transfer[turn]);
        if (error < 0)
            break;
        if (!last && both)
            error = piece_start(&transfer[turn ^ 1], ordinal, address, bytes, slab[turn ^ 1], &next);
        scan_cpu(scan, slab[turn]->memory.cpu, transfer[turn].bytes);
        if (last)
            break;
        if (!both)
            error = piece_start(&transfer[turn], ordinal, address, bytes, slab[turn], &next);
        turn ^= both;
    }
    return error;
}

/* Memory that a device reaches. */
static int scan_device(struct scan_pass *scan, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    int error = -EINVAL;

    if (scan->results)
        error = scan_device_piece(scan->results, ordinal, address, bytes, scan->holder);
    return error == -EINVAL ? scan_copies(scan, ordinal, address, bytes) : error;
}

static int scan_root(const struct root *root, void *arg)
{
    struct scan_pass *scan = arg;

    scan->scanned_bytes += root->bytes;
    if (!root->cpu)
        return scan_device(scan, root->ordinal, root->address, root->bytes & ~UINT64_C(3));
    scan_cpu(scan, root->cpu, root->bytes);
    return 0;
}

static int count_root(const struct root *root, void *arg)
{
    ((struct scan_pass *)arg)->cpu_writable_bytes += root->bytes;
    return 0;
}

static int scan_chunk(struct scan_pass *scan, uint32_t first, uint32_t granule)
{
    const struct chunk *chunk = &core.blocks.chunk[granule];
    const unsigned ordinal = core.blocks.block[first].ordinal;
    const uint64_t bytes = chunk_bytes(chunk);
    int error = 0;

    if (chunk->state == CHUNK_BROKEN)
        return -EIO;
    scan->holder = first;
    if (chunk->state == CHUNK_RESIDENT)
        error = scan_device(scan, ordinal, granule_address(&core.blocks, granule), bytes);
    else if (chunk->state == CHUNK_HOST && chunk->mapped && scan->results)
        error = scan_device(scan, ordinal, chunk->slab->memory.alias, bytes);
    else if (chunk->state == CHUNK_HOST && chunk->mapped)
        scan_cpu(scan, chunk->slab->memory.cpu, bytes);
    else
        return 0;
    scan->scanned_bytes += bytes;
    return error;
}

/* The next block from `first` on; false when there is none. */
static bool next_alive(uint32_t *first)
{
    uint32_t high = extent_high(&core.blocks.arena);
    bool found;

    lock_acquire(&core.lock);
    while (*first < high && !block_alive(&core.blocks.block[*first]))
        ++*first;
    found = *first < high;
    lock_release(&core.lock);
    return found;
}

/* Blocks that the program frees from now on stay where they are. */
static void scanning(bool on)
{
    lock_acquire(&core.lock);
    core.scanning = on;
    pthread_cond_broadcast(&core.changed);
    lock_release(&core.lock);
}

/* Flags of an earlier scan are void; unmapped blocks were proven when they were unmapped and have not changed since. */
static void forget(void)
{
    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks)
        core.blocks.block[g].flags &= (uint8_t) ~(BLOCK_HOLDER | BLOCK_REFERENCED);
    lock_release(&core.lock);
}

/* Roots are known when everything is that a kernel could read a pointer from. */
static int roots_known(struct scan_pass *scan, const char **out_why)
{
    int error = core.device->roots(core.device, true, count_root, scan, out_why);

    if (error < 0)
        return error;
    if (scan->cpu_writable_bytes > (uint64_t)CPU_WRITABLE_MAX_MIB << 20) {
        *out_why = "more than 4 MiB of pinned or managed memory, which kernels read and the CPU writes";
        return -ENOTSUP;
    }
    return 0;
}

static int scan_all(struct scan_pass *scan, const char **out_why)
{
    int error, finished = 0;

    forget();
    scan->holder = SCAN_DEVICE_ROOT;
    error = core.device->roots(core.device, false, scan_root, scan, out_why);
    for (uint32_t first = 0; error >= 0 && next_alive(&first); first++)
        chunks_each(g, &core.blocks, first)
            error = error < 0 ? error : scan_chunk(scan, first, g);
    if (scan->results)
        finished = scan_device_finish(scan->results);
    return error < 0 ? error : finished;
}

/* By the device where that works, by the CPU otherwise. */
static int scan_slabs(struct scan_pass *scan, const char **out_why)
{
    int error = roots_known(scan, out_why);

    if (error < 0)
        return error;
    if (scan->slab[0] != scan->slab[1] && !scan_device_begin(scan->slab[1])) {
        scan->results = scan->slab[1];
        scan->slab[1] = scan->slab[0];
        error = scan_all(scan, out_why);
        if (!error || *out_why)
            return error;
        scan_device_refuse();
        scan->results = NULL;
    }
    return scan_all(scan, out_why);
}

bool scan_run(void)
{
    struct scan_pass scan = {0};
    uint64_t item[2], since_ns = core_now();
    const char *why = NULL;
    unsigned taken = 0;
    int error;

    while (taken < 2 &&
           !(error = recycler_take(&core.slabs, PIECE_GRANULES * GRANULE_BYTES, 0, &item[taken]))) {
        scan.slab[taken] = slab_of(item[taken]);
        taken++;
    }
    if (taken == 1)
        scan.slab[1] = scan.slab[0];
    scanning(true);
    if (taken)
        error = scan_slabs(&scan, &why);
    scanning(false);
    for (unsigned i = 0; i < taken; i++)
        recycler_return(&core.slabs, PIECE_GRANULES * GRANULE_BYTES, item[i]);
    counters_add(&core.counters.scans, 1);
    counters_add(&core.counters.scanned_bytes, scan.scanned_bytes);
    counters_add(&core.counters.scan_ns, core_now() - since_ns);
    if (error < 0)
        log_line(LOG_DEBUG, "the scan ended early: error %d", -error);
    if (error == -ENOTSUP && why)
        core_roots_unknown(why);
    return error >= 0;
}
