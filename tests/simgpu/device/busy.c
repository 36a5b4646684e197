/* SPDX-License-Identifier: Apache-2.0 */
#include "device/busy.h"

#include "device/capacity.h"

/* NULL for what keeps a device from nothing. */
static struct busy *kind_of(struct device *device, const struct work *work)
{
    switch (work->kind) {
    case WORK_KERNEL:
        return &device->busy[BUSY_WITH_KERNELS];
    case WORK_COPY:
    case WORK_SET:
    case WORK_PREFETCH:
        return &device->busy[BUSY_WITH_MEMORY];
    case WORK_EMPTY:
    case WORK_MEMOP:
    case WORK_HOST:
    case WORK_FREE:
    case WORK_EVENT:
    case WORK_GRAPH:
        return NULL;
    }
    return NULL;
}

void busy_begin(struct device *device, const struct work *work)
{
    struct busy *busy = kind_of(device, work);

    if (!busy || busy->running++)
        return;
    busy->since_ns = now_ns();
    capacity_note_busy(device);
}

void busy_end(struct device *device, const struct work *work)
{
    struct busy *busy = kind_of(device, work);

    if (!busy || --busy->running)
        return;
    busy->total_ns += now_ns() - busy->since_ns;
    busy->since_ns = 0;
    capacity_note_busy(device);
}

void busy_read(const struct device *device, uint64_t at_ns, uint64_t total_ns[BUSY_KINDS])
{
    for (int i = 0; i < BUSY_KINDS; i++) {
        const struct busy *busy = &device->busy[i];

        total_ns[i] = busy->total_ns + (busy->running && busy->since_ns < at_ns ? at_ns - busy->since_ns : 0);
    }
}
