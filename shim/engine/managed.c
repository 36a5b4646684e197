/* SPDX-License-Identifier: Apache-2.0 */
/* managed.c - managed memory of the program's own. See managed.h and core.h. */
#include "engine/managed.h"

#include <string.h>

#include "engine/core.h"
#include "ledger/headroom.h"
#include "ledger/limit.h"
#include "ledger/managed_range.h"
#include "ledger/state.h"

bool managed_floats(unsigned ordinal, unsigned class)
{
    return class == CLASS_MANAGED && (core.device->floating >> ordinal & 1);
}

/* ---- told --------------------------------------------------------------------------------------------------------- */

/* What the driver has given of the device and is charged to nobody, as far as it may be managed memory: what its contexts
 * take passes for that, too, as no figure tells them apart. */
uint64_t core_managed_on(unsigned ordinal)
{
    uint64_t free_bytes, total_bytes, held_bytes, most_bytes;

    if (!core_active() || !managed_floats(ordinal, CLASS_MANAGED))
        return 0;
    lock_acquire(&core.lock);
    most_bytes = core.devices[ordinal].budget.lent_bytes;
    lock_release(&core.lock);
    if (!most_bytes || core.device->memory(core.device, ordinal, &free_bytes, &total_bytes) < 0)
        return 0;
    lock_acquire(&core.lock);
    held_bytes = shares_over(total_bytes - free_bytes, budget_held(&core.devices[ordinal].budget));
    lock_release(&core.lock);
    return held_bytes < most_bytes ? held_bytes : most_bytes;
}

void core_device_budget(unsigned ordinal, struct budget *out)
{
    uint64_t managed_bytes = core_managed_on(ordinal);

    lock_acquire(&core.lock);
    *out = core.devices[ordinal].budget;
    lock_release(&core.lock);
    if (managed_bytes)
        budget_force(out, CLASS_MANAGED, managed_bytes);
}

bool core_managed_limited(unsigned ordinal)
{
    return core_active() && managed_floats(ordinal, CLASS_MANAGED) &&
           core.devices[ordinal].budget.limit_bytes != BUDGET_NO_LIMIT;
}

bool core_managed_any(void)
{
    return managed_range_count() != 0;
}

bool core_managed_find(uint64_t address, struct managed_info *out)
{
    const struct managed_range *range;

    if (!managed_range_possible(address))
        return false;
    lock_acquire(&core.lock);
    range = managed_range_find(address);
    if (range)
        *out = (struct managed_info){range->start, range->bytes, range->ordinal, range->is_altered};
    lock_release(&core.lock);
    return range != NULL;
}

/* ---- in and out --------------------------------------------------------------------------------------------------- */

void managed_free(struct managed_range *range)
{
    range->is_busy = false;
    pthread_cond_broadcast(&core.changed);
}

int managed_confine(const struct managed_range *range, const uint64_t *marks, unsigned from, unsigned to)
{
    struct managed_range marked = *range;
    struct managed_run run = {0, 0};
    int error = 0;

    memcpy(marked.in, marks, sizeof(marked.in));
    for (run = managed_run_next(&marked, 0, marked.pieces, true); !error && run.first < run.end;
         run = managed_run_next(&marked, run.end, marked.pieces, true))
        error = core.device->confine(core.device, from, to, managed_run_start(&marked, run),
                                     managed_run_bytes(&marked, run));
    return error;
}

static int send(const struct managed_range *range, const uint64_t *marks)
{
    struct managed_range marked = *range;
    struct managed_run run = {0, 0};
    int error = 0, waited;

    memcpy(marked.in, marks, sizeof(marked.in));
    for (run = managed_run_next(&marked, 0, marked.pieces, true); !error && run.first < run.end;
         run = managed_run_next(&marked, run.end, marked.pieces, true))
        error = core.device->send_home(core.device, marked.ordinal, managed_run_start(&marked, run),
                                       managed_run_bytes(&marked, run));
    waited = core.device->copied(core.device, marked.ordinal, WAY_OUT);
    return error ? error : waited;
}

uint64_t managed_send(struct managed_range *range, uint64_t bytes)
{
    uint64_t marks[MANAGED_PIECES / 64] = {0}, lent_bytes, marked_bytes = 0;
    int error;

    for (uint32_t i = range->pieces; i-- && marked_bytes < bytes;)
        if (managed_piece_in(range, i)) {
            managed_mark(marks, i);
            marked_bytes += range->piece_bytes;
        }
    if (range->is_coming)
        core.device->copied(core.device, range->ordinal, WAY_IN);
    range->is_coming = false;
    error = managed_confine(range, marks, range->ordinal, DEVICE_NONE);
    error = error ? error : send(range, marks);
    if (error)
        managed_confine(range, marks, DEVICE_NONE, range->ordinal); /* they may be there still */
    lock_acquire(&core.lock);
    lent_bytes = core.devices[range->ordinal].budget.lent_bytes;
    range->is_altered = true;
    for (uint32_t i = 0; !error && i < range->pieces; i++)
        if (managed_is_marked(marks, i))
            managed_piece_leave(range, i);
    lent_bytes -= core.devices[range->ordinal].budget.lent_bytes;
    lock_release(&core.lock);
    return lent_bytes;
}

struct managed_range *managed_take_oldest(unsigned ordinal, uint64_t newer)
{
    struct managed_range *range;

    lock_acquire(&core.lock);
    range = managed_range_oldest(ordinal, newer);
    if (range)
        range->is_busy = true;
    lock_release(&core.lock);
    return range;
}

void managed_give(struct managed_range *range)
{
    lock_acquire(&core.lock);
    managed_free(range);
    lock_release(&core.lock);
}

uint64_t managed_short_of(unsigned ordinal, uint64_t bytes)
{
    return shares_over(bytes + headroom_device_keep(ordinal), headroom_device(ordinal));
}

uint64_t managed_leave(unsigned ordinal, uint64_t bytes, uint64_t before)
{
    uint64_t left_bytes = 0, went_bytes = 1, lacks;

    while (managed_range_count() && went_bytes && (lacks = managed_short_of(ordinal, bytes))) {
        struct managed_range *range = managed_take_oldest(ordinal, before);

        if (!range)
            break;
        went_bytes = managed_send(range, lacks);
        managed_give(range);
        left_bytes += went_bytes;
    }
    return left_bytes;
}

/* ---- they come and go --------------------------------------------------------------------------------------------- */

/* Marks what is in, or what is out. */
static void marks_of(const struct managed_range *range, bool in, uint64_t *marks)
{
    for (uint32_t i = 0; i < range->pieces; i++)
        if (managed_piece_in(range, i) == in)
            managed_mark(marks, i);
}

void core_managed_made(unsigned ordinal, uint64_t address, uint64_t bytes, bool again)
{
    uint64_t in[MANAGED_PIECES / 64] = {0}, out[MANAGED_PIECES / 64] = {0}, keep_bytes;
    struct managed_range *range;
    int error = 0;

    if (!core_active() || !managed_floats(ordinal, CLASS_MANAGED) || !bytes)
        return;
    limit_ready(ordinal);
    keep_bytes = headroom_device_keep(ordinal);
    lock_acquire(&core.lock);
    range = managed_range_add(address, bytes, ordinal);
    for (uint32_t i = 0; range && !error && i < range->pieces; i++)
        error = managed_piece_enter(range, i, keep_bytes);
    if (range) {
        range->is_altered = again || range->in_count < range->pieces || core.device->count > 1;
        atomic_fetch_or(&core.attention, ATTENTION_MANAGED);
    }
    lock_release(&core.lock);
    if (!range)
        return;
    marks_of(range, true, in);
    marks_of(range, false, out);
    managed_confine(range, in, again ? DEVICE_NONE : DEVICE_ANY, ordinal);
    error = managed_confine(range, out, DEVICE_ANY, DEVICE_NONE);
    lock_acquire(&core.lock);
    for (uint32_t i = 0; error && i < range->pieces; i++) /* nothing keeps them off */
        if (managed_is_marked(out, i))
            managed_piece_enter(range, i, UINT64_MAX);
    managed_free(range);
    lock_release(&core.lock);
}

bool core_managed_hold(uint64_t address)
{
    struct managed_range *range;

    lock_acquire(&core.lock);
    while ((range = managed_range_find(address)) && range->is_busy)
        lock_wait(&core.changed, &core.lock);
    if (range)
        range->is_busy = true;
    lock_release(&core.lock);
    return range != NULL;
}

void core_managed_let_go(uint64_t address)
{
    lock_acquire(&core.lock);
    managed_free(managed_range_find(address)); /* it has not gone */
    lock_release(&core.lock);
}

bool core_managed_run(uint64_t address, uint64_t bytes, unsigned ordinal, uint64_t *out_bytes)
{
    const struct managed_range *range = managed_range_find(address);
    uint32_t first = managed_piece_at(range, address);
    bool in = managed_piece_in(range, first);
    struct managed_run run = managed_run_next(range, first, range->pieces, in);
    uint64_t end = managed_run_start(range, run) + managed_run_bytes(range, run);

    *out_bytes = bytes < end - address ? bytes : end - address;
    return in && range->ordinal == ordinal;
}

void core_managed_gone(uint64_t address)
{
    struct managed_range *range;
    unsigned ordinal = DEVICE_NONE;

    if (!core_active() || !managed_range_possible(address))
        return;
    lock_acquire(&core.lock);
    while ((range = managed_range_find(address)) && range->is_busy)
        lock_wait(&core.changed, &core.lock);
    if (range && range->start == address) {
        ordinal = range->is_coming ? range->ordinal : DEVICE_NONE;
        managed_range_remove(range);
    }
    if (!managed_range_count())
        atomic_fetch_and(&core.attention, ~ATTENTION_MANAGED);
    lock_release(&core.lock);
    if (ordinal != DEVICE_NONE)
        core.device->copied(core.device, ordinal, WAY_IN);
}
