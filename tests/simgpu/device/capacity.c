/* SPDX-License-Identifier: Apache-2.0 */
#include "device/capacity.h"

#include "machine/share.h"

#include <stdio.h>

static struct share share;

_Static_assert((int)BUSY_KINDS == (int)SHARE_WORK, "the file has a place for each");

CUresult capacity_start(void)
{
    const char *reason = NULL;

    if (options.shared && !share.table)
        reason = share_open(&share, options.shared, true);
    if (!reason)
        return CUDA_SUCCESS;
    fprintf(stderr, "simgpu: SIMGPU_SHARED=%s: %s\n", options.shared, reason);
    return CUDA_ERROR_INVALID_VALUE;
}

bool capacity_hold(const struct device *device, size_t bytes)
{
    return share.table ? share_hold(&share, device->index, bytes) : bytes <= options.memory_bytes;
}

size_t capacity_room(const struct device *device)
{
    size_t used = share.table ? share_used(&share, device->index) : device->used.device_bytes;

    return options.memory_bytes - used;
}

void capacity_note_context(const struct device *device, bool has)
{
    if (share.table)
        share_note_context(&share, device->index, has);
}

void capacity_note_busy(const struct device *device)
{
    if (!share.table)
        return;
    for (int i = 0; i < BUSY_KINDS; i++)
        share_note_busy(&share, device->index, i, device->busy[i].since_ns, device->busy[i].total_ns);
}

bool capacity_shared(const struct device *device, size_t *used, size_t *peak)
{
    if (!share.table)
        return false;
    *used = share_used(&share, device->index);
    *peak = share_peak(&share, device->index);
    return true;
}
