/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - see scan.h. */
#include "engine/scan.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/readable.h"
#include "engine/core.h"
#include "ledger/state.h"

enum {
    SPAN_WORDS = 64,         /* looked at together before any of them is looked at closely */
    PIECE_GRANULES = 1,      /* what is copied at a time to be scanned by the CPU */
    SMALL_BYTES = 64 << 10,  /* of a source that is looked at although nothing has to be found */
    GAP_BYTES = 4096,        /* the smallest page */
    CPU_WRITABLE_MAX_MIB = 4 /* memory that the CPU writes is scanned before each launch: no more than this */
};

typedef void (*hit_fn)(uint64_t word, void *arg);

/* ---- words -------------------------------------------------------------------------------------------------- */

/* The upper half of a pointer decides almost always: data rarely has it. */
static unsigned suspects(const uint32_t *words, uint32_t upper, uint32_t upper_span)
{
    unsigned found = 0;

    for (unsigned i = 0; i < SPAN_WORDS; i++)
        found |= words[i] - upper <= upper_span;
    return found;
}

/* Call `hit` for each word of [memory, memory + bytes) that lies in [base, base + span). `memory` and `bytes` are
 * multiples of 4; the word that begins in the last 4 bytes is not seen. */
static void scan_words(const void *memory, size_t bytes, uint64_t base, uint64_t span, hit_fn hit, void *arg)
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

/* Bytes from the arena's base to one granule past the last address ever handed out: no pointer lies beyond, and the
 * fewer addresses count, the fewer numbers are taken for pointers. */
static uint64_t scan_span(void)
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

/* False: not all of it can be read. Its length is the caller's word, which the driver may refuse. */
static bool scan_source(struct use *use, const char *memory, size_t bytes)
{
    size_t there = readable_bytes(memory, bytes);

    if ((uintptr_t)memory & 3)
        scan_unaligned(use, memory, there);
    else
        scan_words(memory, there & ~(size_t)3, core.blocks.base, scan_span(), source_hit, use);
    return there == bytes;
}

/* Runs of bytes at equal distances, in groups at equal distances. */
struct runs {
    size_t bytes, distance, count;
    size_t group_distance, groups;
};

/* False: no memory has that shape, as little as the driver would read it. */
static bool runs_of(const struct use_rows *rows, struct runs *out, size_t *out_bytes)
{
    size_t pitch = rows->pitch ? rows->pitch : rows->width, slice, last_row, last_slice, bytes, end;

    if (!rows->memory || !rows->width || !rows->height || !rows->depth ||
        __builtin_mul_overflow(pitch, rows->slice_height ? rows->slice_height : rows->height, &slice) ||
        __builtin_mul_overflow(pitch, rows->height - 1, &last_row) ||
        __builtin_mul_overflow(slice, rows->depth - 1, &last_slice) ||
        __builtin_add_overflow(last_row, last_slice, &bytes) ||
        __builtin_add_overflow(bytes, rows->width, &bytes) ||
        __builtin_add_overflow((uintptr_t)rows->memory, bytes, &end))
        return false;
    if ((rows->height > 1 && pitch < rows->width) || (rows->depth > 1 && slice < last_row + rows->width))
        return false;
    *out = (struct runs){rows->width, pitch, rows->height, slice, rows->depth};
    *out_bytes = bytes;
    return true;
}

/* Runs with less than a page between them are one: there is no page without a byte that the copy names. */
static void join(struct runs *runs)
{
    if (runs->distance - runs->bytes < GAP_BYTES) {
        runs->bytes += (runs->count - 1) * runs->distance;
        runs->count = 1;
    }
    if (runs->count == 1 && runs->group_distance - runs->bytes < GAP_BYTES) {
        runs->bytes += (runs->groups - 1) * runs->group_distance;
        runs->groups = 1;
    }
}

void use_source_rows(struct use *use, const struct use_rows *rows)
{
    const char *memory = rows->memory;
    struct runs runs;
    size_t bytes;
    bool goes_on = true;

    if (!runs_of(rows, &runs, &bytes) ||
        (bytes > SMALL_BYTES &&
         !(atomic_load_explicit(&core.attention, memory_order_relaxed) & ATTENTION_UNPROVEN)))
        return;
    join(&runs);
    for (size_t group = 0; goes_on && group < runs.groups; group++)
        for (size_t i = 0; goes_on && i < runs.count; i++)
            goes_on = scan_source(use, memory + group * runs.group_distance + i * runs.distance, runs.bytes);
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

/* ---- what was found ------------------------------------------------------------------------------------------- */

/* Under the lock. */
static void flag(uint32_t granule, enum block_flag found)
{
    uint32_t first;
    struct block *block = blocks_at(&core.blocks, granule, &first);

    if (block)
        block->flags |= (uint16_t)found;
}

/* A word points into this granule: its block and its neighbours' are BLOCK_REFERENCED. Under the lock. */
static void scan_refer(uint32_t granule)
{
    flag(granule, BLOCK_REFERENCED);
    flag(granule + 1, BLOCK_REFERENCED);
    if (granule)
        flag(granule - 1, BLOCK_REFERENCED);
}

/* ---- by the device ---------------------------------------------------------------------------------------------
 *
 * Pieces of memory are given to the device one after the other; what it finds arrives in a slab of host memory that it
 * can write: a byte per granule of the arena for "something points here", and one for "the piece that begins here holds
 * a pointer". A device that answers wrongly would lose a program's data. So each is first given a piece of known
 * content, and one that does not find exactly what the CPU finds there is not asked again.
 */

enum {
    SCAN_DEVICE_GRANULES = 1 << 20,             /* of the arena that one slab has bytes for: 2 TiB */
    SCAN_DEVICE_ROOT = SCAN_DEVICE_GRANULES - 1 /* holder of a piece that is no block */
};

/* The trial's memory, and where in the slab it lies: well behind the few result bytes that it uses. */
enum {
    TRIAL_GRANULES = 64,
    TRIAL_WORDS = 16384 + 3, /* a whole number of quads and a rest */
    TRIAL_OFFSET = 256 << 10
};

static uint8_t *marks_of(struct slab *results)
{
    return results->memory.cpu;
}

static uint8_t *holders_of(struct slab *results)
{
    return marks_of(results) + SCAN_DEVICE_GRANULES;
}

static struct scan piece_of(struct slab *results, uint64_t address, uint64_t bytes, uint32_t holder)
{
    return (struct scan){
        .address = address,
        .bytes = bytes,
        .base = core.blocks.base,
        .span = scan_span(),
        .marks = results->memory.alias,
        .hit = results->memory.alias + SCAN_DEVICE_GRANULES + holder,
    };
}

static void mark(uint64_t word, void *arg)
{
    ((uint8_t *)arg)[(word - core.blocks.base) / GRANULE_BYTES] = 1;
}

/* Noise, with pointers at every place in a quad, on both sides of borders, and words that miss by one. */
static void trial_fill(uint32_t *words)
{
    const uint64_t base = core.blocks.base, end = base + TRIAL_GRANULES * GRANULE_BYTES;
    uint32_t noise = 1;

    for (unsigned i = 0; i < TRIAL_WORDS; i++)
        words[i] = noise = noise * 1664525 + 1013904223;
    for (unsigned i = 0; i < TRIAL_GRANULES / 2; i++) {
        uint64_t word = base + 2 * i * GRANULE_BYTES + (i % 2 ? GRANULE_BYTES - 1 : 0);

        memcpy(words + 97 * i, &word, sizeof(word));
    }
    memcpy(words + 8000, &end, sizeof(end));
    memcpy(words + 8003, &(uint64_t){base - 1}, sizeof(base));
    memcpy(words + TRIAL_WORDS - 2, &(uint64_t){end - 1}, sizeof(end));
}

/* A trial succeeds when the device finds in one piece just what the CPU finds. */
static int trial(struct slab *results, unsigned ordinal, uint64_t offset, uint64_t bytes)
{
    uint8_t expected[TRIAL_GRANULES] = {0}, *marks = marks_of(results),
            *hit = holders_of(results) + SCAN_DEVICE_ROOT;
    struct scan scan = piece_of(results, results->memory.alias + offset, bytes, SCAN_DEVICE_ROOT);
    int error;

    scan.span = TRIAL_GRANULES * GRANULE_BYTES;
    memset(marks, 0, TRIAL_GRANULES);
    *hit = 0;
    scan_words(marks + offset, bytes, scan.base, scan.span, mark, expected);
    error = core.device->scan(core.device, ordinal, &scan);
    if (!error)
        error = core.device->copied(core.device, ordinal, WAY_OUT);
    if (!error && (memcmp(marks, expected, sizeof(expected)) || !*hit))
        error = -EBADMSG;
    return error;
}

/* 0: trusted. Without memory the question stays open. */
static int try_device(struct slab *results, unsigned ordinal)
{
    enum {
        WHOLE = TRIAL_WORDS * 4,
        PART = 1000 * 4
    };
    int error;

    if (core.scan[ordinal] != SCAN_UNTRIED)
        return core.scan[ordinal] == SCAN_TRUSTED ? 0 : -ENOTSUP;
    trial_fill((uint32_t *)(void *)(marks_of(results) + TRIAL_OFFSET));
    error = trial(results, ordinal, TRIAL_OFFSET, WHOLE);
    for (unsigned shift = 4; !error && shift < 16; shift += 4)
        error = trial(results, ordinal, TRIAL_OFFSET + shift, PART);
    if (error == -ENOMEM)
        return error;
    core.scan[ordinal] = error ? SCAN_REFUSED : SCAN_TRUSTED;
    if (error == -EBADMSG)
        log_line(LOG_WARN, "device %u does not find the pointers of a trial: the CPU scans instead", ordinal);
    else
        log_line(LOG_INFO, "pointers in the memory of device %u are scanned for by %s", ordinal,
                 error ? "the CPU: it takes no kernel of ours" : "itself");
    return error ? -ENOTSUP : 0;
}

/* Begin with an empty slab, of at least GRANULE_BYTES. -ENOTSUP: some device is not to be trusted, or the arena is
 * larger than what the slab has room for; -ENOMEM: not now. */
static int scan_device_begin(struct slab *results)
{
    uint32_t high = extent_high(&core.blocks.arena);
    int error = high + 1 < SCAN_DEVICE_ROOT ? 0 : -ENOTSUP;

    for (unsigned i = 0; !error && i < core.device->count; i++)
        if (core.devices[i].ready)
            error = try_device(results, i);
    if (!error) {
        memset(marks_of(results), 0, high + 1);
        memset(holders_of(results), 0, high + 1);
    }
    return error;
}

/* Let device `ordinal` look at [address, address + bytes), device addresses or an alias; `bytes` a multiple of 4.
 * `holder` is the granule whose block the piece belongs to, or SCAN_DEVICE_ROOT. -EINVAL: the address is no multiple
 * of 4, or the device was not tried; otherwise what it says. The piece must stay as it is until scan_device_finish. */
static int scan_device_piece(struct slab *results, unsigned ordinal, uint64_t address, uint64_t bytes,
                             uint32_t holder)
{
    const struct scan scan = piece_of(results, address, bytes, holder);

    return address % 4 || core.scan[ordinal] != SCAN_TRUSTED ? -EINVAL
                                                             : core.device->scan(core.device, ordinal, &scan);
}

/* Wait for all devices that were given pieces, also after an error, and flag the blocks by what was found. */
static int scan_device_finish(struct slab *results)
{
    const uint8_t *marks = marks_of(results), *holders = holders_of(results);
    int error = 0;

    for (unsigned i = 0; i < core.device->count; i++) {
        int one = core.scan[i] == SCAN_TRUSTED ? core.device->copied(core.device, i, WAY_OUT) : 0;

        error = error ? error : one;
    }
    if (error)
        return error;
    lock_acquire(&core.lock);
    for (uint32_t g = extent_low(&core.blocks.arena), high = extent_high(&core.blocks.arena); g <= high;
         g++) {
        if (marks[g])
            scan_refer(g);
        if (holders[g])
            flag(g, BLOCK_HOLDER);
    }
    lock_release(&core.lock);
    return 0;
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

/* core.lock held: flags belong to it. */
static void found(uint64_t word, void *arg)
{
    const struct scan_pass *scan = arg;

    if (scan->holder != SCAN_DEVICE_ROOT)
        flag(scan->holder, BLOCK_HOLDER);
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
        core.blocks.block[g].flags &= (uint16_t) ~(BLOCK_HOLDER | BLOCK_REFERENCED);
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
        for (unsigned i = 0; i < core.device->count; i++) /* one has failed: none is asked again */
            core.scan[i] = SCAN_REFUSED;
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
