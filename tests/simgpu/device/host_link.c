/* SPDX-License-Identifier: Apache-2.0 */
#include "device/host_link.h"

#include "device/context.h"

static uint64_t reserve(struct device *device, enum link_way way, size_t bytes, double gbps,
                        uint64_t since_ns)
{
    uint64_t *free_ns = &device->link_free_ns[way];

    if (*free_ns < since_ns)
        *free_ns = since_ns;
    *free_ns += (uint64_t)((double)bytes / gbps);
    device_spend(device, way == LINK_TO_DEVICE ? SPENT_TO_DEVICE : SPENT_FROM_DEVICE,
                 (uint64_t)((double)bytes / gbps));
    return *free_ns;
}

uint64_t link_carry(struct device *device, enum link_way way, size_t bytes, uint64_t since_ns)
{
    uint64_t now = now_ns();

    return options.link_gbps > 0
               ? reserve(device, way, bytes, options.link_gbps, since_ns > now ? since_ns : now)
               : 0;
}

uint64_t link_reach(struct device *device, enum link_way way, size_t bytes, uint64_t since_ns)
{
    return options.zero_copy_gbps > 0 ? reserve(device, way, bytes, options.zero_copy_gbps, since_ns) : 0;
}

static bool is_on_host(const struct memory *memory)
{
    return memory && memory->device == DEVICE_HOST && memory->kind != MEMORY_MANAGED;
}

void link_use(const struct name *name, struct device *device, uint64_t since_ns, uint64_t *until_ns)
{
    enum link_way way = name->write ? LINK_FROM_DEVICE : LINK_TO_DEVICE;
    uint64_t carried_ns;

    if (!is_on_host(name->memory))
        return;
    carried_ns = link_reach(device, way, name->size, since_ns ? since_ns : now_ns());
    if (*until_ns < carried_ns)
        *until_ns = carried_ns;
}

void link_after(const struct op *op, const struct work *work, uint64_t started_ns)
{
    const struct op_name *names;
    uint64_t until_ns = 0;
    size_t count;

    if (options.zero_copy_gbps <= 0 || work->kind == WORK_COPY)
        return;
    sim_lock();
    count = op_names(op, &names);
    for (size_t i = 0; i < count; i++)
        if (!op_declares(op, names[i].name.memory))
            link_use(&names[i].name, op->context->device, started_ns, &until_ns);
    sim_unlock();
    sleep_until(until_ns);
}
