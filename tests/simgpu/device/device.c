/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include "device/busy.h"
#include "device/capacity.h"
#include "device/context.h"
#include "machine/identity.h"
#include "managed/page.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PLACE_SHIFT = 47,
    IMPORTS_MAX = 64
};
#define FILE_BYTES ((size_t)1 << 46)

/* An extent that nobody uses any more. */
struct hole {
    struct hole *next;
    uint64_t place;
    size_t bytes;
};

struct device devices[DEVICES_MAX];
int device_count;

/* files[0] is the host's, files[i + 1] that of device i. */
static struct {
    int fd;
    size_t next;
} files[DEVICES_MAX + 1];

static struct hole *holes;

CUresult device_start(void)
{
    int visible[DEVICES_MAX],
        count = identity_visible(getenv("CUDA_VISIBLE_DEVICES"), options.devices, visible);
    CUresult result = count ? capacity_start() : CUDA_ERROR_NO_DEVICE;

    for (int i = 0; i <= count && result == CUDA_SUCCESS; i++) {
        files[i].fd = memfd_create(i ? "simgpu-device" : "simgpu-host", MFD_CLOEXEC);
        if (files[i].fd < 0 || ftruncate(files[i].fd, (off_t)FILE_BYTES) != 0)
            result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (result != CUDA_SUCCESS)
        return result;
    for (int i = 0; i < count; i++) {
        devices[i].ordinal = i;
        devices[i].index = visible[i];
    }
    device_count = count;
    return CUDA_SUCCESS;
}

/* Files of other processes; their numbers follow those of ours. One is open once, whatever number of places lie in it:
 * on hardware what was imported needs no descriptor any more. */
static struct import {
    int fd;
    size_t places; /* 0: the entry is free */
} imports[IMPORTS_MAX];

static struct import *import_of(uint64_t place)
{
    return &imports[(place >> PLACE_SHIFT) - 1 - (DEVICES_MAX + 1)];
}

int place_file(uint64_t place)
{
    return (place >> PLACE_SHIFT) - 1 > DEVICES_MAX ? import_of(place)->fd
                                                    : files[(place >> PLACE_SHIFT) - 1].fd;
}

static bool is_same_file(int fd, int other)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

uint64_t place_import(int fd, size_t offset)
{
    struct import *found = NULL;

    for (struct import *import = imports; import < imports + IMPORTS_MAX; import++) {
        if (import->places && is_same_file(fd, import->fd)) {
            close(fd);
            found = import;
            break;
        }
        if (!import->places && !found)
            found = import;
    }
    if (!found)
        return 0;
    if (!found->places++)
        found->fd = fd;
    return (uint64_t)(found - imports + DEVICES_MAX + 2) << PLACE_SHIFT | offset;
}

void place_forget(uint64_t place)
{
    struct import *import = import_of(place);

    if (--import->places == 0)
        close(import->fd);
}

size_t place_offset(uint64_t place)
{
    return place & (((uint64_t)1 << PLACE_SHIFT) - 1);
}

static bool lies_there(enum store store)
{
    return store != STORE_HOST && store != STORE_MANAGED_HOST;
}

static size_t *bytes_of(struct usage *usage, enum store store)
{
    return lies_there(store) ? &usage->device_bytes : &usage->host_bytes;
}

bool device_charge(struct device *device, enum store store, size_t bytes)
{
    size_t *used = bytes_of(&device->used, store), *peak = bytes_of(&device->peak, store);

    if (lies_there(store) && !capacity_hold(device, *used + bytes))
        return false;
    *used += bytes;
    device->stores[store] += bytes;
    if (*used > *peak)
        *peak = *used;
    return true;
}

void device_credit(struct device *device, enum store store, size_t bytes)
{
    size_t *used = bytes_of(&device->used, store);

    *used -= bytes;
    device->stores[store] -= bytes;
    if (lies_there(store))
        (void)capacity_hold(device, *used); /* fewer: there is room for them */
}

size_t device_room(const struct device *device)
{
    return capacity_room(device);
}

CUresult place_take(int ordinal, size_t bytes, uint64_t *place)
{
    unsigned file = (unsigned)(ordinal + 1);

    if (bytes + GRANULE > FILE_BYTES - files[file].next)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *place = (uint64_t)(file + 1) << PLACE_SHIFT | files[file].next;
    /* The gap keeps the kernel from merging neighbours into one mapping, which it would have to split again.
     */
    files[file].next += bytes + GRANULE;
    return CUDA_SUCCESS;
}

CUresult device_take(struct device *device, enum store store, size_t bytes, uint64_t *place)
{
    bool host = store == STORE_HOST;
    uint64_t until_ns = 0; /* who allocates does not wait for the link */
    CUresult result;

    if (!page_charge(device, store, bytes, &until_ns))
        return CUDA_ERROR_OUT_OF_MEMORY;
    result = place_take(host ? DEVICE_HOST : device->ordinal, bytes, place);
    if (result != CUDA_SUCCESS)
        device_credit(device, store, bytes);
    return result;
}

static void hole_punch(uint64_t place, size_t bytes)
{
    if (fallocate(place_file(place), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)place_offset(place),
                  (off_t)bytes) != 0)
        abort(); /* released memory would hold the machine's */
}

void place_give(size_t bytes, uint64_t place)
{
    struct hole *hole = malloc(sizeof *hole);

    if (!hole) {
        hole_punch(place, bytes);
        return;
    }
    *hole = (struct hole){holes, place, bytes};
    holes = hole;
}

void device_give(struct device *device, enum store store, size_t bytes, uint64_t place)
{
    device_credit(device, store, bytes);
    place_give(bytes, place);
}

struct hole *device_holes(void)
{
    struct hole *taken = holes;

    holes = NULL;
    return taken;
}

void hole_free(struct hole *list)
{
    while (list) {
        struct hole *next = list->next;

        hole_punch(list->place, list->bytes);
        free(list);
        list = next;
    }
}

struct device *device_at(CUdevice ordinal)
{
    return ordinal >= 0 && ordinal < device_count ? &devices[ordinal] : NULL;
}

struct device *device_of(int index)
{
    for (int i = 0; i < device_count; i++)
        if (devices[i].index == index)
            return &devices[i];
    return NULL;
}

size_t simgpu_used_bytes(int ordinal)
{
    size_t bytes;

    if (sim.forked)
        return 0;
    sim_lock();
    bytes = device_at(ordinal) ? devices[ordinal].used.device_bytes : 0;
    sim_unlock();
    return bytes;
}

void device_spend(struct device *device, enum spent kind, uint64_t ns)
{
    if (ns)
        atomic_fetch_add(&device->spent_ns[kind], ns);
}

uint64_t simgpu_spent_ns(int ordinal, int kind)
{
    return device_at(ordinal) && kind >= 0 && kind < SPENT_KINDS
               ? atomic_load(&devices[ordinal].spent_ns[kind])
               : 0;
}

bool simgpu_uses(int index, uint64_t at_ns, size_t *bytes, uint64_t busy_ns[BUSY_KINDS])
{
    const struct device *device;
    bool does;

    if (sim.forked)
        return false;
    sim_lock();
    device = device_of(index);
    does = device && context_lives(device);
    if (does) {
        *bytes = device->used.device_bytes;
        busy_read(device, at_ns, busy_ns);
    }
    sim_unlock();
    return does;
}
