/* SPDX-License-Identifier: Apache-2.0 */
/* managed_advice.c - see managed_advice.h. */
#include "cuda/managed_advice.h"

#include <errno.h>
#include <string.h>

#include "base/lock.h"
#include "base/pages.h"
#include "cuda/contexts.h"
#include "cuda/device_cuda.h"

enum {
    SPANS_MAX = 1 << 18 /* what is advised beyond is told to the driver, and forgotten when that moves */
};

struct advice {
    CUmemLocation preferred, prefetched; /* type INVALID: none */
    uint32_t accessed_by;                /* bit 0: the host; bit i + 1: device i */
    bool read_mostly;
};

struct span {
    uint64_t start, end;
    struct advice advice;
};

static struct lock lock = LOCK_INIT(LOCK_ADVICE); /* of both */
static struct span *spans;
static uint32_t count;

CUmemLocation managed_advice_location(CUdevice device)
{
    return device == CU_DEVICE_CPU ? (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST}
                                   : (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};
}

static bool is_same_place(CUmemLocation a, CUmemLocation b)
{
    return a.type == b.type && a.id == b.id;
}

/* ---- spans; lock held ------------------------------------------------------------------------------------------------ */

/* The first span that ends behind the address. */
static uint32_t place_of(uint64_t address)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (spans[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool insert(uint32_t place, struct span span)
{
    if (!spans)
        spans = pages_reserve(SPANS_MAX * sizeof(*spans));
    if (!spans || count == SPANS_MAX)
        return false;
    memmove(&spans[place + 1], &spans[place], (count - place) * sizeof(*spans));
    spans[place] = span;
    count++;
    return true;
}

/* A span that goes on over the address ends there, and another one begins. */
static bool cut(uint64_t address)
{
    uint32_t place = place_of(address);
    struct span rest;

    if (place == count || spans[place].start >= address)
        return true;
    rest = spans[place];
    rest.start = address;
    if (!insert(place + 1, rest))
        return false;
    spans[place].end = address;
    return true;
}

/* Every byte of a range has a span, and no span goes beyond. */
static bool cover(uint64_t start, uint64_t end)
{
    if (!cut(start) || !cut(end))
        return false;
    while (start < end) {
        uint32_t place = place_of(start);
        uint64_t next = place < count && spans[place].start < end ? spans[place].start : end;

        if (next > start && !insert(place, (struct span){.start = start, .end = next}))
            return false;
        start = next > start ? next : spans[place].end;
    }
    return true;
}

static void forget(uint64_t start, uint64_t end)
{
    uint32_t first = place_of(start), behind = first;

    while (behind < count && spans[behind].start < end)
        behind++;
    if (!count)
        return;
    memmove(&spans[first], &spans[behind], (count - behind) * sizeof(*spans));
    count -= behind - first;
}

/* The advice at an address, and up to where before `end` it is the same. */
static struct advice advice_at(uint64_t address, uint64_t end, uint64_t *out_end)
{
    uint32_t place = place_of(address);

    *out_end = end;
    if (place == count || spans[place].start >= end)
        return (struct advice){.accessed_by = 0};
    if (spans[place].start > address) {
        *out_end = spans[place].start;
        return (struct advice){.accessed_by = 0};
    }
    if (spans[place].end < end)
        *out_end = spans[place].end;
    return spans[place].advice;
}

/* ---- what the program says ------------------------------------------------------------------------------------------- */

void managed_advice_begin(CUdeviceptr start, size_t bytes)
{
    lock_acquire(&lock);
    if (cut(start) && cut(start + bytes))
        forget(start, start + bytes);
    lock_release(&lock);
}

static bool is_host(CUmemLocation location)
{
    return location.type == CU_MEM_LOCATION_TYPE_HOST || location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
           location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

static bool is_device(CUmemLocation location)
{
    unsigned ordinal = contexts_ordinal(location.id);

    return location.type == CU_MEM_LOCATION_TYPE_DEVICE && ordinal != DEVICE_MAX &&
           device_managed_floating() >> ordinal & 1;
}

bool managed_advice_is_valid(CUmem_advise advice, CUmemLocation location)
{
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        return true;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        return location.type == CU_MEM_LOCATION_TYPE_HOST || is_device(location);
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        return location.type == CU_MEM_LOCATION_TYPE_HOST || is_device(location);
    default:
        return false;
    }
}

static uint32_t bit_of(CUmemLocation location)
{
    return location.type == CU_MEM_LOCATION_TYPE_DEVICE ? UINT32_C(2) << contexts_ordinal(location.id) : 1;
}

static void apply(struct advice *to, CUmem_advise advice, CUmemLocation location)
{
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
        to->read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY;
        break;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        to->preferred = location;
        break;
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        to->preferred = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_INVALID};
        break;
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
        to->accessed_by |= bit_of(location);
        break;
    default:
        to->accessed_by &= ~bit_of(location);
        break;
    }
}

void managed_advice_note(CUdeviceptr start, size_t bytes, CUmem_advise advice, CUmemLocation location)
{
    uint64_t end = start + bytes;

    lock_acquire(&lock);
    if (cover(start, end))
        for (uint32_t i = place_of(start); i < count && spans[i].start < end; i++)
            apply(&spans[i].advice, advice, location);
    lock_release(&lock);
}

void managed_advice_prefetched(CUdeviceptr start, size_t bytes, CUmemLocation location)
{
    uint64_t end = start + bytes;

    lock_acquire(&lock);
    if (cover(start, end))
        for (uint32_t i = place_of(start); i < count && spans[i].start < end; i++)
            spans[i].advice.prefetched = location;
    lock_release(&lock);
}

/* ---- what it is told --------------------------------------------------------------------------------------------------- */

/* What all of a range has in common. */
static struct advice common(uint64_t start, uint64_t end)
{
    struct advice all = {.accessed_by = 0}, one;

    lock_acquire(&lock);
    for (uint64_t at = start, next; at < end; at = next) {
        one = advice_at(at, end, &next);
        if (at == start)
            all = one;
        all.accessed_by &= one.accessed_by;
        all.read_mostly = all.read_mostly && one.read_mostly;
        if (!is_same_place(all.preferred, one.preferred))
            all.preferred = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_INVALID};
        if (!is_same_place(all.prefetched, one.prefetched))
            all.prefetched = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_INVALID};
    }
    lock_release(&lock);
    return all;
}

static int device_of(CUmemLocation location)
{
    return location.type == CU_MEM_LOCATION_TYPE_INVALID  ? CU_DEVICE_INVALID
           : location.type == CU_MEM_LOCATION_TYPE_DEVICE ? location.id
                                                          : CU_DEVICE_CPU;
}

static void list_accessors(uint32_t accessed_by, int *list, size_t room)
{
    size_t used = 0;

    if (accessed_by & 1 && used < room)
        list[used++] = CU_DEVICE_CPU;
    for (unsigned i = 0; i < contexts_device_count() && used < room; i++)
        if (accessed_by >> (i + 1) & 1)
            list[used++] = contexts_device(i);
    while (used < room)
        list[used++] = CU_DEVICE_INVALID;
}

void managed_advice_answer(void *data, size_t data_bytes, CUmem_range_attribute attribute, CUdeviceptr start,
                           size_t bytes)
{
    const struct advice all = common(start, start + bytes);
    int *out = data;

    switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
        *out = all.read_mostly;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
        *out = device_of(all.preferred);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
        list_accessors(all.accessed_by, out, data_bytes / sizeof(*out));
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
        *out = device_of(all.prefetched);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
        *out = (int)all.preferred.type;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
        *out = all.preferred.id;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
        *out = (int)all.prefetched.type;
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
        *out = all.prefetched.id;
        break;
    default:
        break; /* none of ours: as the driver says */
    }
}

/* ---- what the driver is told -------------------------------------------------------------------------------------------- */

/* The advice that keeps pages where they may be, and is the program's own as far as that lets it. */
static struct advice confined(struct advice own, unsigned to)
{
    unsigned devices = contexts_device_count();

    if (to == DEVICE_ANY || (to < DEVICE_NONE && devices == 1))
        return own;
    own.read_mostly = false;
    own.accessed_by |= (UINT32_C(2) << devices) - 2;
    if (to != DEVICE_NONE)
        own.accessed_by &= ~(UINT32_C(2) << to);
    if (!is_host(own.preferred))
        own.preferred =
            managed_advice_location(to == DEVICE_NONE ? (CUdevice)CU_DEVICE_CPU : contexts_device(to));
    return own;
}

static int tell(uint64_t address, uint64_t bytes, CUmem_advise advice, CUdevice device)
{
    return device_cuda_error(QUIETLY(real.cuMemAdvise(address, bytes, advice, device)));
}

static int tell_preferred(uint64_t address, uint64_t bytes, CUmemLocation location)
{
    if (location.type == CU_MEM_LOCATION_TYPE_INVALID)
        return tell(address, bytes, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION, CU_DEVICE_CPU);
    return tell(address, bytes, CU_MEM_ADVISE_SET_PREFERRED_LOCATION, device_of(location));
}

static int tell_accessed(uint64_t address, uint64_t bytes, uint32_t devices, CUmem_advise advice)
{
    int error = 0;

    for (unsigned i = 0; i < contexts_device_count() && !error; i++)
        if (devices >> (i + 1) & 1 && device_managed_floating() >> i & 1)
            error = tell(address, bytes, advice, contexts_device(i));
    return error;
}

/* From one advice to another: what keeps pages off goes first. */
static int change(uint64_t address, uint64_t bytes, const struct advice *from, const struct advice *to)
{
    int error =
        tell_accessed(address, bytes, to->accessed_by & ~from->accessed_by, CU_MEM_ADVISE_SET_ACCESSED_BY);

    if (!error && !is_same_place(from->preferred, to->preferred))
        error = tell_preferred(address, bytes, to->preferred);
    if (!error && from->read_mostly && !to->read_mostly)
        error = tell(address, bytes, CU_MEM_ADVISE_UNSET_READ_MOSTLY, CU_DEVICE_CPU);
    if (!error)
        error = tell_accessed(address, bytes, from->accessed_by & ~to->accessed_by,
                              CU_MEM_ADVISE_UNSET_ACCESSED_BY);
    if (!error && !from->read_mostly && to->read_mostly)
        error = tell(address, bytes, CU_MEM_ADVISE_SET_READ_MOSTLY, CU_DEVICE_CPU);
    return error;
}

int managed_advice_confine(IGNORED struct device *self, unsigned from, unsigned to, uint64_t address,
                           uint64_t bytes)
{
    uint64_t end = address + bytes, next;
    int error = 0;

    for (; address < end && !error; address = next) {
        struct advice own, was, is;

        lock_acquire(&lock);
        own = advice_at(address, end, &next);
        lock_release(&lock);
        was = confined(own, from);
        is = confined(own, to);
        error = change(address, next - address, &was, &is);
    }
    return error;
}

static int prefetch(unsigned ordinal, uint64_t address, uint64_t bytes, CUdevice to, enum stream_way way)
{
    struct entered entered;
    int error = context_enter(ordinal, &entered);

    if (error)
        return error == -ENOTSUP ? -EIO : error;
    error = device_cuda_error(real.cuMemPrefetchAsync(address, bytes, to, entered.stream[way]));
    context_leave(&entered);
    return error;
}

int managed_advice_send_home(IGNORED struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes)
{
    return prefetch(ordinal, address, bytes, CU_DEVICE_CPU, STREAM_OUT);
}

int managed_advice_bring(unsigned ordinal, uint64_t address, uint64_t bytes)
{
    return prefetch(ordinal, address, bytes, contexts_device(ordinal), STREAM_IN);
}

int managed_advice_change(CUdeviceptr start, size_t bytes, CUmem_advise advice, CUmemLocation location,
                          unsigned to)
{
    uint64_t end = start + bytes, next;
    int error = 0;

    for (uint64_t at = start; at < end && !error; at = next) {
        struct advice own, was, is;

        lock_acquire(&lock);
        own = advice_at(at, end, &next);
        lock_release(&lock);
        was = confined(own, to);
        apply(&own, advice, location);
        is = confined(own, to);
        error = change(at, next - at, &was, &is);
    }
    if (!error)
        managed_advice_note(start, bytes, advice, location);
    return error;
}
