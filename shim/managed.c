/* SPDX-License-Identifier: Apache-2.0 */
/* managed.c - see managed.h. */
#include "managed.h"

#include "log.h"
#include "native.h"

#include <errno.h>

/* Allocations on the host that would rather be on a device. */
static _Atomic uint32_t waiting;

/* Say where it belongs, and send it there. It is right wherever it is: a driver that cannot do this makes it slow. */
static void send(unsigned ordinal, CUdeviceptr address, size_t bytes, bool to_host)
{
    CUdevice device = contexts_device(ordinal), to = to_host ? CU_DEVICE_CPU : device;
    struct entered entered;
    CUresult result = CUDA_ERROR_NOT_SUPPORTED;

    if (!real.cuMemAdvise || !real.cuMemPrefetchAsync || context_enter(ordinal, &entered))
        return;
    if (real.cuMemAdvise(address, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, to) == CUDA_SUCCESS &&
        real.cuMemAdvise(address, bytes, CU_MEM_ADVISE_SET_ACCESSED_BY, device) == CUDA_SUCCESS)
        result =
            real.cuMemPrefetchAsync(address, bytes, to, entered.stream[to_host ? STREAM_OUT : STREAM_IN]);
    context_leave(&entered);
    if (result != CUDA_SUCCESS)
        log_line(LOG_DEBUG, "managed memory at %llx stays where the driver puts it (error %d)",
                 (unsigned long long)address, (int)result);
}

int managed_allocate(const struct place *place, size_t bytes, CUdeviceptr *out)
{
    struct native record = {.bytes = bytes,
                            .charged = native_cost(bytes),
                            .class = CLASS_MANAGED,
                            .ordinal = place->ordinal,
                            .context = place->context};
    CUdeviceptr address;

    record.on_host = core_charge_quietly(place->ordinal, CLASS_MANAGED, record.charged) != 0;
    if (record.on_host && core_host_charge(HOST_TIER, record.charged))
        return -ENOMEM;
    if (real.cuMemAllocManaged(&address, bytes, CU_MEM_ATTACH_GLOBAL) != CUDA_SUCCESS) {
        if (record.on_host)
            core_host_credit(HOST_TIER, record.charged);
        else
            core_credit(place->ordinal, CLASS_MANAGED, record.charged);
        return -ENOMEM;
    }
    if (record.on_host) {
        record.class = HOST_TIER;
        waiting++;
    }
    native_add(NATIVE_MEMORY, address, &record);
    send(place->ordinal, address, bytes, record.on_host);
    *out = address;
    return 0;
}

/* It may be freed meanwhile, by another thread: whoever changes the record first decides who gives back what. */
static void move_up(const struct native *record, CUdeviceptr address)
{
    if (core_charge_quietly(record->ordinal, CLASS_MANAGED, record->charged))
        return;
    if (!native_move_up(address, record)) {
        core_credit(record->ordinal, CLASS_MANAGED, record->charged);
        return;
    }
    waiting--;
    send(record->ordinal, address, record->bytes, false);
}

static bool waits(const struct native *record, unsigned ordinal)
{
    return record->on_host && record->class == HOST_TIER && record->ordinal == ordinal;
}

void managed_freed(const struct native *freed)
{
    struct table_copy copy;

    if (waits(freed, freed->ordinal)) {
        waiting--;
        return;
    }
    if (!waiting || native_copy(NATIVE_MEMORY, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct native *record = table_copy_record(&copy, i);

        if (waits(record, freed->ordinal))
            move_up(record, table_copy_key(&copy, i));
    }
    table_copy_free(&copy);
}
