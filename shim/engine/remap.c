/* SPDX-License-Identifier: Apache-2.0 */
/* remap.c - see remap.h. */
#include "engine/remap.h"

#include <errno.h>

#include "base/log.h"
#include "ledger/state.h"

int backing_map(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t handle)
{
    struct device *device = core.device;
    int r = device->map(device, address, bytes, handle);

    if (r < 0)
        return r == -EFAULT ? -EIO : r;
    r = device->grant(device, ordinal, address, bytes);
    if (r < 0 && device->unmap(device, address, bytes) < 0)
        return -EFAULT;
    return r;
}

int backing_unmap(uint64_t address, uint64_t bytes)
{
    int r = core.device->unmap(core.device, address, bytes);

    return r < 0 ? core.device->unmap(core.device, address, bytes) : 0;
}

int backing_replace(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t old, uint64_t new)
{
    struct device *device = core.device;
    int r = device->unmap(device, address, bytes), back;

    if (r < 0)
        return r == -EFAULT ? -EIO : r;
    if (!new)
        return 0;
    r = backing_map(ordinal, address, bytes, new);
    if (r == 0 || r == -EFAULT)
        return r;
    back = backing_map(ordinal, address, bytes, old);
    if (back < 0) {
        log_line(LOG_ERROR,
                 "address %llx cannot be mapped again: its bytes are kept and mapping is retried before each "
                 "launch",
                 (unsigned long long)address);
        return -EFAULT;
    }
    return r;
}
