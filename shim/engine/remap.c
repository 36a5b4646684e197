/* SPDX-License-Identifier: Apache-2.0 */
/* remap.c - see remap.h. */
#include "engine/remap.h"

#include <errno.h>

#include "base/log.h"
#include "ledger/state.h"

int backing_map(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t handle)
{
    struct device *device = core.device;
    int error = device->map(device, address, bytes, handle);

    if (error < 0)
        return error == -EFAULT ? -EIO : error;
    error = device->grant(device, ordinal, address, bytes);
    if (error < 0 && device->unmap(device, address, bytes) < 0)
        return -EFAULT;
    return error;
}

int backing_unmap(uint64_t address, uint64_t bytes)
{
    int error = core.device->unmap(core.device, address, bytes);

    return error < 0 ? core.device->unmap(core.device, address, bytes) : 0;
}

int backing_replace(unsigned ordinal, uint64_t address, uint64_t bytes, uint64_t old, uint64_t new)
{
    struct device *device = core.device;
    int error = device->unmap(device, address, bytes), back;

    if (error < 0)
        return error == -EFAULT ? -EIO : error;
    if (!new)
        return 0;
    error = backing_map(ordinal, address, bytes, new);
    if (error == 0 || error == -EFAULT)
        return error;
    back = backing_map(ordinal, address, bytes, old);
    if (back < 0) {
        log_line(LOG_ERROR,
                 "address %llx cannot be mapped again: its bytes are kept and mapping is retried before each "
                 "launch",
                 (unsigned long long)address);
        return -EFAULT;
    }
    return error;
}
