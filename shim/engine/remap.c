/* SPDX-License-Identifier: Apache-2.0 */
/* remap.c - see remap.h. */
#include "engine/remap.h"

#include <errno.h>

#include "base/log.h"
#include "ledger/state.h"

int backing_unmap(uint64_t address, uint64_t bytes)
{
    int error = core.device->unmap(core.device, address, bytes);

    return error < 0 ? core.device->unmap(core.device, address, bytes) : 0;
}

/* How many of a list, from its first one on, lie side by side and are alike. */
static uint32_t neighbours(const struct remap *list, uint32_t count)
{
    uint32_t run = 1;

    while (run < count && !core.one_by_one && !list[run].old == !list->old &&
           list[run].address == list[run - 1].address + list[run - 1].bytes)
        run++;
    return run;
}

static uint64_t bytes_of(const struct remap *run, uint32_t count)
{
    return run[count - 1].address + run[count - 1].bytes - run->address;
}

/* The new handle cannot be used there, and is not mapped. */
static void put_back(unsigned ordinal, struct remap *piece, int error)
{
    struct device *device = core.device;

    piece->result = error == -EFAULT ? -EIO : error;
    if (!piece->old)
        return;
    if (device->map(device, piece->address, piece->bytes, piece->old) == 0 &&
        device->grant(device, ordinal, piece->address, piece->bytes) == 0)
        return;
    piece->result = -EFAULT;
    log_line(LOG_ERROR,
             "address %llx cannot be mapped again: its bytes are kept and mapping is retried before each "
             "launch",
             (unsigned long long)piece->address);
}

static void grant_one(unsigned ordinal, struct remap *piece)
{
    int error = core.device->grant(core.device, ordinal, piece->address, piece->bytes);

    if (error < 0 && core.device->unmap(core.device, piece->address, piece->bytes) < 0)
        piece->result = -EFAULT;
    else if (error < 0)
        put_back(ordinal, piece, error);
}

static void grant_run(unsigned ordinal, struct remap *run, uint32_t count)
{
    bool all = true;

    if (count > 1 && core.device->grant(core.device, ordinal, run->address, bytes_of(run, count)) == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        grant_one(ordinal, &run[i]);
        all = all && !run[i].result;
    }
    if (all && count > 1)
        core.one_by_one = true;
}

/* How many of neighbours, from the first one on, are mapped and wait to be granted. */
static uint32_t ungranted(const struct remap *run, uint32_t count)
{
    uint32_t waiting = 0;

    while (waiting < count && run[waiting].new && !run[waiting].result)
        waiting++;
    return waiting;
}

/* Neighbours, all of them unmapped. */
static void map_run(unsigned ordinal, struct remap *run, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct remap *piece = &run[i];
        int error = piece->new ? core.device->map(core.device, piece->address, piece->bytes, piece->new) : 0;

        piece->result = 0;
        if (error < 0)
            put_back(ordinal, piece, error);
    }
    for (uint32_t i = 0, waiting; i < count; i += waiting ? waiting : 1) {
        waiting = ungranted(&run[i], count - i);
        if (waiting)
            grant_run(ordinal, &run[i], waiting);
    }
}

static void replace_one(unsigned ordinal, struct remap *piece)
{
    int error = piece->new ? core.device->unmap(core.device, piece->address, piece->bytes)
                           : backing_unmap(piece->address, piece->bytes);

    piece->result = error == -EFAULT ? -EIO : error;
    if (!error)
        map_run(ordinal, piece, 1);
}

static void replace_run(unsigned ordinal, struct remap *run, uint32_t count)
{
    bool all = true;

    if (!run->old ||
        (count > 1 && core.device->unmap(core.device, run->address, bytes_of(run, count)) == 0)) {
        map_run(ordinal, run, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        replace_one(ordinal, &run[i]);
        all = all && !run[i].result;
    }
    if (all && count > 1)
        core.one_by_one = true;
}

void backing_replace(unsigned ordinal, struct remap *list, uint32_t count)
{
    for (uint32_t i = 0, run; i < count; i += run) {
        run = neighbours(&list[i], count - i);
        replace_run(ordinal, &list[i], run);
    }
}

int backing_map(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t handle)
{
    struct remap piece = {.address = address, .bytes = bytes, .new = handle};

    backing_replace(ordinal, &piece, 1);
    return piece.result;
}
