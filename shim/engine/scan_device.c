/* SPDX-License-Identifier: Apache-2.0 */
/* scan_device.c - see scan_device.h. */
#include "engine/scan_device.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/scan.h"
#include "ledger/state.h"

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

/* ---- the trial ---------------------------------------------------------------------------------------------- */

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
        error = core.device->copied(core.device, ordinal);
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

/* ---- the scan --------------------------------------------------------------------------------------------- */

int scan_device_begin(struct slab *results)
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

int scan_device_piece(struct slab *results, unsigned ordinal, uint64_t address, uint64_t bytes,
                      uint32_t holder)
{
    const struct scan scan = piece_of(results, address, bytes, holder);

    return address % 4 ? -EINVAL : core.device->scan(core.device, ordinal, &scan);
}

int scan_device_finish(struct slab *results)
{
    const uint8_t *marks = marks_of(results), *holders = holders_of(results);
    int error = 0;

    for (unsigned i = 0; i < core.device->count; i++) {
        int one = core.devices[i].ready ? core.device->copied(core.device, i) : 0;

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
            scan_hold(g);
    }
    lock_release(&core.lock);
    return 0;
}

void scan_device_refuse(void)
{
    for (unsigned i = 0; i < core.device->count; i++)
        core.scan[i] = SCAN_REFUSED;
}
