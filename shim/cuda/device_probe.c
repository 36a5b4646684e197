/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds of memory that a device's driver lets us map. A driver may say that it can and fail only when access is granted,
 * as WSL2 does with memory for GPUDirect RDMA: so the first block of a device waits for one granule of each kind to be
 * created, mapped, granted and written. All memory of the device is of the first kind that works, since what is shared
 * with a network card as one range must be of one kind.
 */
#include "cuda/device_cuda.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "cuda/capture.h"
#include "engine/core.h"

/* Kinds in the order in which they are tried: abilities of cudaMalloc's memory before those that blocks must have. */
static const struct device_kind kinds[] = {
    {.is_shareable = true, .has_rdma = true},
    {.has_rdma = true},
    {.is_shareable = true},
    {.is_shareable = false},
};

enum {
    KINDS = sizeof(kinds) / sizeof(*kinds)
};

/* NULL: untried. */
static _Atomic(const struct device_kind *) chosen[DEVICE_MAX];

/* Chosen where no kind works. */
static const struct device_kind none;

static bool is_offered(unsigned ordinal, const struct device_kind *kind)
{
    int has_rdma = 0;
    int is_shareable = 0;

    real.cuDeviceGetAttribute(&is_shareable, CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
                              contexts_device(ordinal));
    real.cuDeviceGetAttribute(&has_rdma, CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
                              contexts_device(ordinal));
    return (is_shareable || !kind->is_shareable) && (has_rdma || !kind->has_rdma);
}

struct device_kind device_probe_kind(unsigned ordinal)
{
    const struct device_kind *found = atomic_load_explicit(&chosen[ordinal], memory_order_acquire);

    if (found && found != &none)
        return *found;
    for (int i = 0; i < KINDS; i++)
        if (is_offered(ordinal, &kinds[i]))
            return kinds[i];
    return kinds[KINDS - 1];
}

/* What stayed mapped would keep its memory for good, which no book has: once more where it fails. */
static void unmap_tried(uint64_t address, uint64_t bytes)
{
    if (device_map_unmap(NULL, address, bytes))
        device_map_unmap(NULL, address, bytes);
}

static int write_through(unsigned ordinal, uint64_t address, uint64_t handle)
{
    int error = device_map_map(NULL, address, GRANULE_BYTES, handle);

    if (error)
        return error;
    error = device_map_grant(NULL, ordinal, address, GRANULE_BYTES);
    if (!error)
        error = device_zero(NULL, ordinal, address, GRANULE_BYTES);
    if (!error)
        error = device_copied(NULL, ordinal, WAYS);
    unmap_tried(address, GRANULE_BYTES);
    return error;
}

/* 0, or what is wrong with it; -ENOMEM says nothing of the kind. */
static int try_kind(unsigned ordinal, const struct device_kind *kind)
{
    uint64_t address, handle;
    int error = device_map_create_as(ordinal, kind, GRANULE_BYTES, &handle);

    if (error)
        return error;
    error = device_map_alias(GRANULE_BYTES, &address) ? -ENOMEM : 0;
    if (!error) {
        error = write_through(ordinal, address, handle);
        device_map_unreserve(NULL, address, GRANULE_BYTES);
    }
    device_map_release(NULL, handle);
    return error;
}

/* NULL: a device that is full cannot tell; the next block asks again. */
static const struct device_kind *choose(unsigned ordinal)
{
    for (int i = 0; i < KINDS; i++) {
        int error = is_offered(ordinal, &kinds[i]) ? try_kind(ordinal, &kinds[i]) : -ENOTSUP;

        if (!error)
            return &kinds[i];
        if (error == -ENOMEM)
            return NULL;
    }
    return &none;
}

bool device_cuda_maps(unsigned ordinal)
{
    const struct device_kind *found = atomic_load_explicit(&chosen[ordinal], memory_order_acquire);

    if (found || capture_open())
        return found != &none;
    /* Where there is no room for it in the budget the next block asks. */
    if (core_charge_quietly(ordinal, CLASS_BLOCK, GRANULE_BYTES))
        return true;
    found = choose(ordinal);
    core_credit(ordinal, CLASS_BLOCK, GRANULE_BYTES);
    if (!found)
        return true;
    if (!atomic_exchange_explicit(&chosen[ordinal], found, memory_order_acq_rel) && found == &none)
        log_line(LOG_WARN,
                 "memory of device %u is accounted and nothing of it is moved: its driver gives no access to "
                 "what it has mapped",
                 ordinal);
    return found != &none;
}

/* ---- host memory ---------------------------------------------------------------------------------------------- */

/* What is tried lies in the first half of a granule; what the device makes of it, in the second. */
enum {
    WORDS = 1024,
    PLACES = 64, /* that words point at */
    HALF_BYTES = 1 << 20
};

/* Any addresses: the words only have to be found. */
#define TRIED_BASE UINT64_C(0x123400000000)

/* Noise, with a word for every third place. */
static void fill(uint32_t *words)
{
    uint32_t noise = 1;

    for (unsigned i = 0; i < WORDS; i++)
        words[i] = noise = noise * 1664525 + 1013904223;
    for (unsigned i = 0; i < PLACES; i += 3) {
        uint64_t word = TRIED_BASE + i * GRANULE_BYTES;

        memcpy(words + 15 * i, &word, sizeof(word));
    }
}

static int copies_host(unsigned ordinal, uint64_t address, const struct host_memory *memory)
{
    const char *cpu = memory->cpu;
    int error = device_copy(NULL, ordinal, address + HALF_BYTES, address, WORDS * sizeof(uint32_t));

    if (!error)
        error = device_copied(NULL, ordinal, WAYS);
    return !error && memcmp(cpu, cpu + HALF_BYTES, WORDS * sizeof(uint32_t)) != 0 ? -EBADMSG : error;
}

/* By the kernel that looks for words. 0, too, where the driver compiles none. */
static int finds_in_host(unsigned ordinal, uint64_t address, const struct host_memory *memory)
{
    uint8_t *marks = (uint8_t *)memory->cpu + HALF_BYTES;
    const struct scan scan = {
        .address = address,
        .bytes = WORDS * sizeof(uint32_t),
        .base = TRIED_BASE,
        .span = PLACES * GRANULE_BYTES,
        .marks = address + HALF_BYTES,
        .hit = address + HALF_BYTES + PLACES,
    };
    int error;

    memset(marks, 0, PLACES + 1);
    error = device_scan(NULL, ordinal, &scan);
    if (!error)
        error = device_copied(NULL, ordinal, WAYS);
    for (unsigned i = 0; !error && i < PLACES; i++)
        if (marks[i] != (i % 3 == 0))
            error = -EBADMSG;
    return error == -ENOTSUP ? 0 : error;
}

int device_probe_host(IGNORED struct device *self, unsigned ordinal, const struct host_memory *memory)
{
    uint64_t address;
    int error;

    if (!memory->handle || device_map_alias(memory->bytes, &address))
        return -ENOMEM;
    fill(memory->cpu);
    error = device_map_map(NULL, address, memory->bytes, memory->handle);
    if (!error) {
        error = device_map_grant(NULL, ordinal, address, memory->bytes);
        error = error ? error : copies_host(ordinal, address, memory);
        error = error ? error : finds_in_host(ordinal, address, memory);
        unmap_tried(address, memory->bytes);
    }
    device_map_unreserve(NULL, address, memory->bytes);
    return error;
}
