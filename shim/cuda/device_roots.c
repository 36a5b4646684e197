/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that a kernel could read a pointer from and that is no block: all that the hooks have seen allocated. */
#include "cuda/device_cuda.h"

#include <errno.h>

#include "cuda/driver_memory.h"
#include "cuda/modules.h"

struct walk {
    bool cpu_writable_only;
    root_visit_fn visit;
    void *arg;
};

static bool is_cpu_writable(enum driver_kind kind, const struct driver_memory *record)
{
    return kind == DRIVER_HOST || (kind == DRIVER_MEMORY && record->class == CLASS_MANAGED);
}

/* A device address for pinned or managed memory is not needed: the CPU reads it. */
static struct root root_of(enum driver_kind kind, uint64_t key, const struct driver_memory *record)
{
    struct root root = {.address = key, .bytes = record->bytes, .ordinal = record->ordinal};

    if (is_cpu_writable(kind, record))
        root.cpu = (const void *)(uintptr_t)key;
    return root;
}

static int visit_kind(const struct walk *walk, enum driver_kind kind)
{
    struct table_copy copy;
    int error = driver_memory_copy(kind, &copy);

    if (error)
        return error;
    for (uint32_t i = 0; !error && i < copy.count; i++) {
        const struct driver_memory *record = table_copy_record(&copy, i);
        const struct root root = root_of(kind, table_copy_key(&copy, i), record);

        if (root.bytes && (!walk->cpu_writable_only || is_cpu_writable(kind, record)))
            error = walk->visit(&root, walk->arg);
    }
    table_copy_free(&copy);
    return error;
}

/*
 * Kernels that may read any memory of the process can read a pointer from anywhere in it, and there is no search for that:
 * the heap has a pointer to every block, the program's own, so that to search it would keep all where they are; and to leave
 * it out is right only if no kernel goes there, which neither the arguments of launches nor what lies in device memory
 * shows before the kernel runs, since the heap changes until then. The program's user can know it (DISK_KNOWN).
 */
static bool reads_pageable(void)
{
    for (unsigned i = 0; i < contexts_device_count(); i++) {
        int pageable = 0;

        if (real.cuDeviceGetAttribute(&pageable, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
                                      contexts_device(i)) != CUDA_SUCCESS ||
            pageable)
            return true;
    }
    return false;
}

static bool vouched;

void device_roots_vouch(bool is_known)
{
    vouched = is_known;
}

int device_roots(IGNORED struct device *self, bool cpu_writable_only, root_visit_fn visit, void *arg,
                 const char **out_why)
{
    static const enum driver_kind kinds[] = {DRIVER_MEMORY, DRIVER_ASYNC, DRIVER_MAPPED, DRIVER_HOST};
    const struct walk walk = {cpu_writable_only, visit, arg};
    int error = 0;

    if (!vouched && reads_pageable()) {
        *out_why =
            "the device reads all of the host's memory; EBBTIDE_DISK=known is your word that no kernel does";
        return -ENOTSUP;
    }
    driver_memory_visit_begin();
    for (unsigned i = 0; !error && i < sizeof(kinds) / sizeof(*kinds); i++)
        error = visit_kind(&walk, kinds[i]);
    driver_memory_visit_end();
    return error || cpu_writable_only ? error : modules_roots(visit, arg, out_why);
}
