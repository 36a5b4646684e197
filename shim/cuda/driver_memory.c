/* SPDX-License-Identifier: Apache-2.0 */
/* driver_memory.c - see driver_memory.h. */
#include "cuda/driver_memory.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/lock.h"
#include "cuda/kernel_parameters.h"
#include "host/host_block.h"

/* The driver serves up to this from slabs of a granule. */
#define SLAB_LARGEST_BYTES ((uint64_t)1 << 20)

struct slab {
    uint64_t live;
};

static struct table records[DRIVER_KIND_COUNT] = {
    TABLE_INIT(struct driver_memory), TABLE_INIT(struct driver_memory), TABLE_INIT(struct driver_memory),
    TABLE_INIT(struct driver_memory), TABLE_INIT(struct driver_memory),
};
/* Small live allocations per granule that holds any, by the granule's number plus one. */
static struct table slabs = TABLE_INIT(struct slab);

/* Readers look at the memory itself; a record goes, and its memory after it, when none does. Writers go first: launches
 * read all the time while blocks are unmapped. */
static struct lock_shared visiting = LOCK_SHARED_INIT_FOR_WRITERS(LOCK_DRIVER_MEMORY);

void driver_memory_visit_begin(void)
{
    lock_shared_read(&visiting);
}

void driver_memory_visit_end(void)
{
    lock_shared_release(&visiting);
}

/* Take a record out once nobody reads what it stands for. */
static bool record_take(enum driver_kind kind, uint64_t key, struct driver_memory *out)
{
    bool taken;

    lock_shared_write(&visiting);
    taken = table_take(&records[kind], key, out);
    lock_shared_release(&visiting);
    return taken;
}

size_t driver_memory_pitch(unsigned ordinal)
{
    static _Atomic size_t known[DEVICE_MAX];
    size_t pitch = atomic_load_explicit(&known[ordinal], memory_order_relaxed);
    CUdeviceptr probe;

    if (pitch)
        return pitch;
    if (real.cuMemAllocPitch_v2(&probe, &pitch, 1, 1, 4) != CUDA_SUCCESS)
        return 0;
    if (real.cuMemFree_v2(probe) != CUDA_SUCCESS)
        real.cuMemFree_v2(probe);
    atomic_store_explicit(&known[ordinal], pitch, memory_order_relaxed);
    return pitch;
}

uint64_t driver_memory_cost(uint64_t bytes)
{
    return (bytes + GRANULE_BYTES - 1) / GRANULE_BYTES * GRANULE_BYTES;
}

uint64_t driver_memory_pinned_cost(const void *memory, uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t first = (uint64_t)(uintptr_t)memory / page;
    uint64_t end = ((uint64_t)(uintptr_t)memory + bytes + page - 1) / page;

    return (end - first) * page;
}

uint64_t driver_memory_registered_cost(const void *memory, uint64_t bytes)
{
    uint64_t covered = host_hold_covered(memory, bytes);

    return covered == bytes ? 0 : driver_memory_pinned_cost(memory, bytes) - covered;
}

int driver_memory_charge(unsigned ordinal, enum device_class class, uint64_t bytes)
{
    return core_charge(ordinal, class, driver_memory_cost(bytes));
}

void driver_memory_refund(unsigned ordinal, enum device_class class, uint64_t bytes)
{
    core_credit(ordinal, class, driver_memory_cost(bytes));
}

void driver_memory_adjust(unsigned ordinal, enum device_class class, uint64_t charged, uint64_t held)
{
    if (charged > held)
        core_credit(ordinal, class, charged - held);
    else
        core_charge_held(ordinal, class, held - charged);
}

static uint64_t slab_key(uint64_t address)
{
    return address / GRANULE_BYTES + 1;
}

/* True when this is the first one in its slab. */
static bool slab_add(uint64_t address)
{
    bool is_first = true;

    table_lock(&slabs);
    struct slab *slab = table_add(&slabs, slab_key(address));

    if (slab)
        is_first = slab->live++ == 0;
    table_unlock(&slabs);
    return is_first;
}

/* True when that was the last one in its slab. */
static bool slab_remove(uint64_t address)
{
    bool was_last = false;

    table_lock(&slabs);
    struct slab *slab = table_find(&slabs, slab_key(address));

    if (slab && --slab->live == 0) {
        table_remove(&slabs, slab_key(address));
        was_last = true;
    }
    table_unlock(&slabs);
    return was_last;
}

static void credit(const struct driver_memory *record, uint64_t bytes)
{
    if (!bytes)
        return;
    if (record->on_host)
        core_host_credit((enum host_class)record->class, bytes);
    else
        core_credit(record->ordinal, (enum device_class)record->class, bytes);
}

/* What is mapped is counted by its handle. */
static void tell(void (*event)(unsigned, enum kind, enum stay, uint64_t), enum driver_kind kind,
                 const struct driver_memory *record)
{
    if (record->on_host || kind == DRIVER_MAPPED)
        return;
    event(record->ordinal,
          record->why == STAY_IMPORTED ? KIND_IPC : kind_of_class((enum device_class)record->class),
          record->why, kind == DRIVER_ARRAY ? record->charged : record->bytes);
}

/* False without memory for the record: then the charge stays for good. */
static bool keep(enum driver_kind kind, uint64_t key, const struct driver_memory *record)
{
    struct driver_memory kept = *record;

    kept.in_slab = !record->on_host && record->class != CLASS_ARRAY && record->charged &&
                   record->bytes <= SLAB_LARGEST_BYTES;
    if (kept.in_slab) {
        if (!slab_add(key))
            credit(record, record->charged);
        kept.charged = 0;
    }
    return !table_put(&records[kind], key, &kept);
}

static bool is_managed(enum driver_kind kind, const struct driver_memory *record)
{
    return kind == DRIVER_MEMORY && !record->on_host && record->class == CLASS_MANAGED;
}

void driver_memory_add(enum driver_kind kind, uint64_t key, const struct driver_memory *record)
{
    if (keep(kind, key, record))
        tell(core_native_made, kind, record);
    if (is_managed(kind, record)) {
        core_managed_made(record->ordinal, key, record->bytes, false);
        kernel_parameters_watch();
    }
}

bool driver_memory_remove(enum driver_kind kind, uint64_t key, struct driver_memory *out)
{
    if (!key || !record_take(kind, key, out))
        return false;
    if (is_managed(kind, out)) {
        core_managed_gone(key);
        kernel_parameters_watch();
    }
    if (out->in_slab && slab_remove(key))
        credit(out, GRANULE_BYTES);
    credit(out, out->charged);
    tell(core_native_gone, kind, out);
    return true;
}

void driver_memory_restore(enum driver_kind kind, uint64_t key, const struct driver_memory *record)
{
    struct driver_memory again = *record;

    if (again.in_slab)
        again.charged = GRANULE_BYTES;
    /* The memory is still there whatever the budget says. */
    if (again.on_host)
        core_host_force((enum host_class)again.class, again.charged);
    else
        core_charge_held(again.ordinal, (enum device_class)again.class, again.charged);
    if (keep(kind, key, &again))
        tell(core_native_back, kind, &again);
    if (is_managed(kind, &again)) {
        core_managed_made(again.ordinal, key, again.bytes, true);
        kernel_parameters_watch();
    }
}

CUresult driver_memory_freed(CUresult result, bool known, enum driver_kind kind, uint64_t key,
                             const struct driver_memory *record)
{
    if (known && result != CUDA_SUCCESS)
        driver_memory_restore(kind, key, record);
    return result;
}

/* No block that has some of it goes while it is registered: the cost can only have become less. */
static void registered_settle(uint64_t key, const struct driver_memory *was)
{
    uint64_t cost = driver_memory_registered_cost((const void *)(uintptr_t)key, was->bytes), surplus = 0;
    struct driver_memory *record;

    table_lock(&records[DRIVER_HOST]);
    record = table_find(&records[DRIVER_HOST], key);
    if (record && record->class == HOST_REGISTERED && record->bytes == was->bytes && record->charged > cost) {
        surplus = record->charged - cost;
        record->charged = cost;
    }
    table_unlock(&records[DRIVER_HOST]);
    core_host_credit(HOST_REGISTERED, surplus);
}

void driver_memory_registered_settle(const void *memory, uint64_t bytes)
{
    uint64_t start = (uint64_t)(uintptr_t)memory;
    struct table_copy copy;

    if (!host_block_any() || table_copy(&records[DRIVER_HOST], &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct driver_memory *record = table_copy_record(&copy, i);
        uint64_t key = table_copy_key(&copy, i);

        if (key < start + bytes && start < key + record->bytes)
            registered_settle(key, record);
    }
    table_copy_free(&copy);
}

bool driver_memory_is_on_host(CUdeviceptr address)
{
    unsigned type = 0;

    if (!real.cuPointerGetAttribute)
        return false;
    CUresult result = real.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address);

    /* The driver has never heard of memory that malloc gave out. */
    return result == CUDA_ERROR_INVALID_VALUE || (result == CUDA_SUCCESS && type == CU_MEMORYTYPE_HOST);
}

bool driver_memory_find(enum driver_kind kind, uint64_t key, struct driver_memory *out)
{
    return key && table_get(&records[kind], key, out);
}

int driver_memory_copy(enum driver_kind kind, struct table_copy *out)
{
    return table_copy(&records[kind], out);
}

void driver_memory_context_gone(CUcontext context)
{
    for (int kind = 0; kind < DRIVER_KIND_COUNT; kind++) {
        struct table_copy copy;

        if (kind == DRIVER_MAPPED || driver_memory_copy((enum driver_kind)kind, &copy))
            continue; /* the program's VMM belongs to no context */
        for (uint32_t i = 0; i < copy.count; i++) {
            const struct driver_memory *record = table_copy_record(&copy, i);
            struct driver_memory removed;

            if (record->context != context ||
                !driver_memory_remove((enum driver_kind)kind, table_copy_key(&copy, i), &removed))
                continue;
            if (kind == DRIVER_HOST && removed.class == HOST_REGISTERED)
                host_hold_drop((const void *)(uintptr_t)table_copy_key(&copy, i), removed.bytes);
        }
        table_copy_free(&copy);
    }
}
