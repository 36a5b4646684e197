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

static atomic_int answer = WORKS; /* enum trip: can host memory be mapped at all */

/* Memory of ours that is pinned. */
struct pinned {
    uint64_t bytes;
    CUcontext context; /* in which it is pinned; NULL: in none now */
};

static struct table slabs = TABLE_INIT(struct pinned);

static atomic_int round_trip; /* enum trip, of a copy through a mapped address */

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

/* Access for every device, and for the CPU. */
static int grant_alias(CUmemLocation location, uint64_t address, uint64_t bytes)
{
    CUmemAccessDesc access[DEVICE_MAX + 1];
    unsigned count = 0;

    for (; count < contexts_device_count(); count++)
        access[count] = (CUmemAccessDesc){
            .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = (int)count},
            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
        };
    access[count++] = (CUmemAccessDesc){location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    return device_cuda_error(real.cuMemSetAccess(address, bytes, access, count));
}

/* Map the handle at an address of its own, for us. */
static int map_alias(CUmemLocation location, uint64_t handle, uint64_t bytes, uint64_t *out_alias)
{
    uint64_t alias;
    int error = device_map_alias(bytes, &alias);

    if (error)
        return error;
    CUstreamCaptureMode mode = quiet_begin();

    error = device_cuda_error(real.cuMemMap(alias, bytes, 0, handle, 0));
    if (!error) {
        error = grant_alias(location, alias, bytes);
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
    int refused = BROKEN;

    atomic_compare_exchange_strong_explicit(&answer, &refused, UNTRIED, memory_order_acq_rel,
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

/* The copy engine, through an address as a block's would be: half a granule up, from where the CPU wrote. */
static enum trip copies_through(const struct host_memory *memory)
{
    enum {
        WORDS = 512
    };
    const uint64_t half = GRANULE_BYTES / 2;
    uint64_t *from = memory->cpu;
    const uint64_t *to = (const uint64_t *)((const char *)memory->cpu + half);
    uint64_t address;
    bool same = true;
    unsigned ordinal = 0;
    struct entered entered;

    while (ordinal < contexts_device_count() && context_enter(ordinal, &entered))
        ordinal++;
    if (ordinal == contexts_device_count())
        return UNTRIED; /* no context yet */
    context_leave(&entered);
    for (uint64_t i = 0; i < WORDS; i++)
        from[i] = i * 0x9e3779b97f4a7c15u + 1;
    if (device_map_alias(memory->bytes, &address))
        return UNTRIED;
    if (device_map_map(NULL, address, memory->bytes, memory->handle))
        same = false;
    else {
        same = !device_map_grant(NULL, ordinal, address, memory->bytes) &&
               !device_copy(NULL, ordinal, address + half, address, WORDS * sizeof(*from)) &&
               !device_copied(NULL, ordinal) && memcmp(from, to, WORDS * sizeof(*from)) == 0;
        device_map_unmap(NULL, address, memory->bytes);
    }
    device_map_unreserve(NULL, address, memory->bytes);
    memset(from, 0, GRANULE_BYTES);
    return same ? WORKS : BROKEN;
}

int device_host_create(struct device *self, uint64_t bytes, bool mappable, struct host_memory *out)
{
    struct host_memory memory = {.bytes = bytes};

    if (!mappable)
        return create_pinned(bytes, out);
    if (!self->host_mappable)
        return -ENOTSUP;
    int error = device_nodes_each(create_mapped, &memory);

    if (error)
        return error;
    if (atomic_load_explicit(&round_trip, memory_order_relaxed) == UNTRIED)
        atomic_store_explicit(&round_trip, (int)copies_through(&memory), memory_order_relaxed);
    if (atomic_load_explicit(&round_trip, memory_order_relaxed) == BROKEN) {
        self->host_mappable = false;
        device_host_destroy(self, &memory);
        log_line(LOG_WARN,
                 "a copy through mapped host memory came back wrong; evicted blocks are unmapped from now "
                 "on (EBBTIDE_RESIDENCY)");
        return -ENOTSUP;
    }
    *out = memory;
    return 0;
}

void device_host_destroy(IGNORED struct device *self, struct host_memory *memory)
{
    CUstreamCaptureMode mode = quiet_begin();

    if (memory->handle) {
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
    bool is_open = options->residency == RESIDENCY_MAPPED ||
                   (options->residency != RESIDENCY_STRICT && !has_bare_node());

    answer = is_open ? UNTRIED : WORKS; /* nobody asks */
    return is_open;
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

void device_cuda_host_ready(void)
{
    bool works;

    if (atomic_load_explicit(&answer, memory_order_acquire) != UNTRIED)
        return;
    works = can_map(); /* two threads that come here at once find the same */
    core_residency(works);
    atomic_store_explicit(&answer, works ? WORKS : BROKEN, memory_order_release);
}
