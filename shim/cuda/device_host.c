/* SPDX-License-Identifier: Apache-2.0 */
/* Host memory that blocks go to: physical memory that maps at a block's address, or plain pinned memory. */
#include "cuda/device_cuda.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/pages.h"
#include "base/table.h"
#include "engine/core.h"

enum trip {
    UNTRIED,
    WORKS,
    BROKEN
};

/* Can host memory be mapped for each device; enum trip. */
static atomic_int answers[DEVICE_MAX];
static bool is_asked;

/* Devices with blocks, bits by ordinal. */
static _Atomic uint32_t users;

/* An alias of mapped host memory, by its first granule; the others know only where that is. */
struct alias {
    uint64_t start, bytes;
    uint32_t granted; /* devices that have access, bits by ordinal */
};

static struct table aliases = TABLE_INIT(struct alias);

/* Memory of ours that is pinned. */
struct pinned {
    uint64_t bytes;
    CUcontext context; /* in which it is pinned; NULL: in none now */
};

static struct table slabs = TABLE_INIT(struct pinned);

static int create_at(CUmemLocation location, uint64_t bytes, uint64_t *out_handle)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = location};
    CUmemGenericAllocationHandle handle = 0;
    CUstreamCaptureMode mode = quiet_begin();
    CUresult result = real.cuMemCreate(&handle, bytes, &prop, 0);

    quiet_end(mode);
    if (result == CUDA_SUCCESS)
        *out_handle = handle;
    return device_cuda_error(result);
}

static CUmemAccessDesc access_of(unsigned ordinal)
{
    return (CUmemAccessDesc){
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)ordinal},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
}

/* Who will want an alias: the device of the thread's context; where it has none, as the monitor, those with blocks. A grant
 * to others would bring them up, and each is a mapping that all launches carry along. */
static uint32_t likely_users(void)
{
    struct place here;

    return contexts_here(&here) ? UINT32_C(1) << here.ordinal
                                : atomic_load_explicit(&users, memory_order_acquire);
}

/* Access for some devices, and for the CPU. */
static int grant_alias(CUmemLocation location, uint64_t address, uint64_t bytes, uint32_t devices)
{
    CUmemAccessDesc access[DEVICE_MAX + 1] = {{location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE}};
    unsigned count = 1;

    for (unsigned i = 0; i < contexts_device_count(); i++)
        if (devices >> i & 1)
            access[count++] = access_of(i);
    return device_cuda_error(real.cuMemSetAccess(address, bytes, access, count));
}

static void forget_alias(uint64_t start, uint64_t bytes)
{
    struct alias gone;

    for (uint64_t at = start; at - start < bytes; at += GRANULE_BYTES)
        table_take(&aliases, at, &gone);
}

static int remember_alias(uint64_t start, uint64_t bytes, uint32_t granted)
{
    const struct alias alias = {start, bytes, granted};
    int error = 0;

    for (uint64_t at = start; !error && at - start < bytes; at += GRANULE_BYTES)
        error = table_put(&aliases, at, &alias);
    if (error)
        forget_alias(start, bytes);
    return error;
}

/* The alias that an address lies in, or NULL. Lock held. */
static struct alias *find_alias(uint64_t address)
{
    struct alias *alias = table_find(&aliases, address / GRANULE_BYTES * GRANULE_BYTES);

    return alias ? table_find(&aliases, alias->start) : NULL;
}

int device_host_reach(unsigned ordinal, uint64_t address)
{
    const CUmemAccessDesc access = access_of(ordinal);
    const uint32_t bit = UINT32_C(1) << ordinal;
    struct alias *found, alias;
    bool is_missing;
    int error;

    table_lock(&aliases);
    found = find_alias(address);
    is_missing = found && !(found->granted & bit);
    alias = is_missing ? *found : (struct alias){0};
    table_unlock(&aliases);
    if (!is_missing)
        return 0;
    error = device_cuda_error(QUIETLY(real.cuMemSetAccess(alias.start, alias.bytes, &access, 1)));
    table_lock(&aliases);
    found = find_alias(address);
    if (found && !error)
        found->granted |= bit;
    table_unlock(&aliases);
    return error;
}

/* Map the handle at an address of its own, for us. */
static int map_alias(CUmemLocation location, uint64_t handle, uint64_t bytes, uint64_t *out_alias)
{
    const uint32_t devices = likely_users();
    uint64_t alias;
    int error = device_map_alias(bytes, &alias);

    if (error)
        return error;
    CUstreamCaptureMode mode = quiet_begin();

    error = device_cuda_error(real.cuMemMap(alias, bytes, 0, handle, 0));
    if (!error) {
        error = grant_alias(location, alias, bytes, devices);
        error = error ? error : remember_alias(alias, bytes, devices);
        if (error)
            device_cuda_unmap(alias, bytes);
    }
    if (error)
        real.cuMemAddressFree(alias, bytes);
    quiet_end(mode);
    if (!error)
        *out_alias = alias;
    return error;
}

/* For device_nodes_each: fill a host_memory whose size is set. */
static int create_mapped(CUmemLocation location, void *arg)
{
    struct host_memory *out = arg;
    struct host_memory memory = {.bytes = out->bytes};
    int error = create_at(location, memory.bytes, &memory.handle);

    if (error)
        return error;
    error = map_alias(location, memory.handle, memory.bytes, &memory.alias);
    if (error) {
        device_cuda_release(memory.handle);
        return error;
    }
    memory.cpu = (void *)(uintptr_t)memory.alias;
    *out = memory;
    return 0;
}

/* Pin memory of ours in some live context. -ENOTSUP: there is none. */
static int pin(void *cpu, uint64_t bytes, CUcontext *out)
{
    struct entered entered;
    int error = -ENOTSUP;

    for (unsigned i = 0; error == -ENOTSUP && i < contexts_device_count(); i++)
        error = context_enter(i, &entered);
    if (error)
        return error;
    error = device_cuda_error(real.cuMemHostRegister_v2(cpu, bytes, CU_MEMHOSTREGISTER_PORTABLE));
    if (!error)
        *out = entered.context;
    context_leave(&entered);
    return error;
}

/* Memory of ours, not of the driver's: that would go with the context it was allocated in, and the bytes of blocks
 * of other contexts with it. Copies name its own address, which is right whether it is pinned or not. */
static int create_pinned(uint64_t bytes, struct host_memory *out)
{
    struct pinned pinned = {.bytes = bytes};
    void *cpu = pages_take(bytes);

    if (!cpu)
        return -ENOMEM;
    /* A fork would copy every page that is pinned (Linux since 5.9, copy_present_page), and no child can use them. */
    madvise(cpu, bytes, MADV_DONTFORK);
    int error = pin(cpu, bytes, &pinned.context);

    if (!error)
        error = table_put(&slabs, (uint64_t)(uintptr_t)cpu, &pinned);
    if (error) {
        if (pinned.context)
            real.cuMemHostUnregister(cpu);
        pages_give(cpu, bytes);
        return error;
    }
    *out = (struct host_memory){.alias = (uint64_t)(uintptr_t)cpu, .cpu = cpu, .bytes = bytes};
    return 0;
}

static void set_context(uint64_t cpu, CUcontext context)
{
    table_lock(&slabs);
    struct pinned *pinned = table_find(&slabs, cpu);

    if (pinned)
        pinned->context = context;
    table_unlock(&slabs);
}

void device_host_context_gone(CUcontext context)
{
    struct table_copy copy;
    CUcontext popped;

    if (table_copy(&slabs, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct pinned *pinned = table_copy_record(&copy, i);

        if (pinned->context != context || real.cuCtxPushCurrent_v2(context) != CUDA_SUCCESS)
            continue;
        real.cuMemHostUnregister((void *)(uintptr_t)table_copy_key(&copy, i));
        real.cuCtxPopCurrent_v2(&popped);
        set_context(table_copy_key(&copy, i), NULL);
    }
    table_copy_free(&copy);
    device_host_context_new();
}

void device_host_context_new(void)
{
    struct table_copy copy;

    for (unsigned i = 0; i < DEVICE_MAX; i++)
        atomic_compare_exchange_strong_explicit(&answers[i], &(int){BROKEN}, UNTRIED, memory_order_acq_rel,
                                                memory_order_relaxed);
    if (table_copy(&slabs, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct pinned *pinned = table_copy_record(&copy, i);
        CUcontext context;

        /* Unpinned it is slow and right: the next context tries again. */
        if (!pinned->context &&
            pin((void *)(uintptr_t)table_copy_key(&copy, i), pinned->bytes, &context) == 0)
            set_context(table_copy_key(&copy, i), context);
    }
    table_copy_free(&copy);
}

int device_host_create(struct device *self, uint64_t bytes, bool mappable, struct host_memory *out)
{
    struct host_memory memory = {.bytes = bytes};

    if (!mappable)
        return create_pinned(bytes, out);
    if (!self->host_mappable)
        return -ENOTSUP;
    int error = device_nodes_each(create_mapped, &memory);

    if (!error)
        *out = memory;
    return error;
}

void device_host_destroy(IGNORED struct device *self, struct host_memory *memory)
{
    CUstreamCaptureMode mode = quiet_begin();

    if (memory->handle) {
        forget_alias(memory->alias, memory->bytes);
        device_cuda_unmap(memory->alias, memory->bytes);
        real.cuMemAddressFree(memory->alias, memory->bytes);
        device_cuda_release(memory->handle);
        device_nodes_freed();
    } else {
        struct pinned pinned = {0};

        table_take(&slabs, memory->alias, &pinned);
        if (pinned.context && real.cuCtxPushCurrent_v2(pinned.context) == CUDA_SUCCESS) {
            CUcontext popped;

            real.cuMemHostUnregister(memory->cpu);
            real.cuCtxPopCurrent_v2(&popped);
        }
        pages_give(memory->cpu, memory->bytes);
    }
    quiet_end(mode);
}

/* Reads a line of sysfs such as "0-1,3". Empty where there is none. */
static void read_nodes(const char *path, char *out, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, out, bytes - 1);

    out[got > 0 ? got : 0] = 0;
    if (fd >= 0)
        close(fd);
}

/* A node that is online and has no memory is what some drivers crash on. */
static bool has_bare_node(void)
{
    char online[256];
    char memory[256];

    read_nodes("/sys/devices/system/node/online", online, sizeof(online));
    read_nodes("/sys/devices/system/node/has_memory", memory, sizeof(memory));
    return online[0] && memory[0] && strcmp(online, memory) != 0;
}

bool device_host_is_open(const struct options *options)
{
    is_asked = options->residency == RESIDENCY_MAPPED ||
               (options->residency != RESIDENCY_STRICT && !has_bare_node());
    return is_asked;
}

static bool can_map(void)
{
    struct host_memory memory = {.bytes = GRANULE_BYTES};

    device_nodes_look();
    if (device_nodes_each(create_mapped, &memory))
        return false;
    device_host_destroy(NULL, &memory);
    return true;
}

/* No device has said no. */
static bool all_work(void)
{
    bool works = true;

    for (unsigned i = 0; i < DEVICE_MAX; i++)
        works &= atomic_load_explicit(&answers[i], memory_order_acquire) != BROKEN;
    return works;
}

void device_cuda_host_ready(unsigned ordinal)
{
    if (!is_asked || atomic_load_explicit(&answers[ordinal], memory_order_acquire) != UNTRIED)
        return;
    atomic_fetch_or_explicit(&users, UINT32_C(1) << ordinal, memory_order_acq_rel);
    /* Two threads that come here at once find the same. */
    atomic_store_explicit(&answers[ordinal], can_map() ? WORKS : BROKEN, memory_order_release);
    core_residency(all_work());
}
