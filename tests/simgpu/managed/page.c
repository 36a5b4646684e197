/* SPDX-License-Identifier: Apache-2.0 */
#include "managed/page.h"

#include "device/host_link.h"
#include "memory/range.h"

#include <stdlib.h>

static struct range_set extents; /* owner: the extent's pages */
static uint64_t uses;

static unsigned bit_of(int processor)
{
    return 1u << (processor + 1);
}

static bool holds(const struct page *page, int processor)
{
    return page->held & bit_of(processor);
}

static void link_newest(struct device *device, struct page *page)
{
    struct residence *residence = &page->on[device->ordinal];

    *residence = (struct residence){.older = device->newest, .page = page, .used_at = ++uses};
    if (device->newest)
        device->newest->newer = residence;
    else
        device->oldest = residence;
    device->newest = residence;
}

static void unlink_from(struct device *device, struct page *page)
{
    struct residence *residence = &page->on[device->ordinal];

    if (residence->older)
        residence->older->newer = residence->newer;
    else
        device->oldest = residence->newer;
    if (residence->newer)
        residence->newer->older = residence->older;
    else
        device->newest = residence->older;
}

/* The processor holds it, too. A device has been charged. */
static void hold(struct page *page, int processor)
{
    if (holds(page, processor))
        return;
    page->held |= bit_of(processor);
    if (processor == DEVICE_HOST) {
        (void)device_charge(page->owner, STORE_MANAGED_HOST, PAGE_BYTES);
    } else {
        link_newest(&devices[processor], page);
    }
}

static void let_go(struct page *page, int processor)
{
    if (!holds(page, processor))
        return;
    page->held &= ~bit_of(processor);
    if (processor == DEVICE_HOST) {
        device_credit(page->owner, STORE_MANAGED_HOST, PAGE_BYTES);
    } else {
        device_credit(&devices[processor], STORE_MANAGED, PAGE_BYTES);
        unlink_from(&devices[processor], page);
    }
}

/* Nobody but that processor keeps it. */
static void collapse(struct page *page, int processor)
{
    for (int other = DEVICE_HOST; other < device_count; other++)
        if (other != processor)
            let_go(page, other);
}

void page_collapse(struct page *page)
{
    int preferred = page_processor(&page->preferred);

    if (page->held)
        collapse(page, preferred != NOWHERE && holds(page, preferred) ? preferred : page_holder(page, NULL));
}

static void refresh(struct page *page, struct device *device)
{
    unlink_from(device, page);
    link_newest(device, page);
}

static void wait_until(uint64_t carried_ns, uint64_t *until_ns)
{
    if (*until_ns < carried_ns)
        *until_ns = carried_ns;
}

/* Transfers that belong together. */
struct turn {
    uint64_t since_ns; /* none begins before */
    uint64_t until_ns; /* all have been carried */
    bool is_serial;    /* each begins when the one before has ended */
};

static void carry(struct device *device, enum link_way way, size_t bytes, struct turn *turn)
{
    uint64_t carried_ns = link_carry(device, way, bytes, turn->since_ns);

    wait_until(carried_ns, &turn->until_ns);
    if (turn->is_serial && carried_ns)
        turn->since_ns = carried_ns;
}

/* A device has its faults served one after the other: each has its own cost, then what leaves is carried, then what comes,
 * and nothing of it at the same time. */
static struct turn fault_begin(const struct device *device)
{
    uint64_t since_ns = now_ns();

    if (!options.fault_ns && options.link_gbps <= 0)
        return (struct turn){0};
    wait_until(device->faults_free_ns, &since_ns);
    since_ns += options.fault_ns;
    return (struct turn){.since_ns = since_ns, .until_ns = since_ns, .is_serial = true};
}

static void fault_end(struct device *device, const struct turn *turn, uint64_t *until_ns)
{
    device->managed.faulted_pages++;
    device->faults_free_ns = turn->until_ns;
    device_spend(device, SPENT_FAULTS, options.fault_ns);
    wait_until(turn->until_ns, until_ns);
}

/* Bytes come to a device from another processor. Between devices the sender's link sets the pace. */
static void transfer(int from, struct device *to, size_t bytes, struct turn *turn)
{
    if (from == DEVICE_HOST)
        carry(to, LINK_TO_DEVICE, bytes, turn);
    else
        carry(&devices[from], LINK_FROM_DEVICE, bytes, turn);
}

/* As page_charge, but what came or was asked for after that count does not leave. */
static bool charge(struct device *device, enum store store, size_t bytes, uint64_t used_before,
                   struct turn *turn)
{
    if (store != STORE_HOST && bytes > device_room(device) + device->stores[STORE_MANAGED])
        return false;
    while (!device_charge(device, store, bytes)) {
        struct page *page = device->oldest ? device->oldest->page : NULL;

        if (!page || !options.managed || device->oldest->used_at > used_before)
            return false;
        let_go(page, device->ordinal);
        if (!page->held) {
            carry(device, LINK_FROM_DEVICE, PAGE_BYTES, turn);
            hold(page, DEVICE_HOST);
        }
        device->managed.evicted_pages++;
    }
    return true;
}

bool page_charge(struct device *device, enum store store, size_t bytes, uint64_t *until_ns)
{
    struct turn turn = {0};
    bool is_charged = charge(device, store, bytes, UINT64_MAX, &turn);

    wait_until(turn.until_ns, until_ns);
    return is_charged;
}

/* Brings it to a device that does not hold it, and keeps the others' where they are copies. False: there is no
 * room. */
static bool bring(struct page *page, struct device *device, bool copy, uint64_t used_before,
                  struct turn *turn)
{
    int from;

    if (!charge(device, STORE_MANAGED, PAGE_BYTES, used_before, turn))
        return false;
    from = page_holder(page, device);
    if (from != NOWHERE)
        transfer(from, device, PAGE_BYTES, turn);
    hold(page, device->ordinal);
    if (!copy)
        collapse(page, device->ordinal);
    return true;
}

/* Its first use: by that device. */
static void populate(struct page *page, struct device *device, struct turn *turn)
{
    int preferred = page_processor(&page->preferred);
    struct device *home = preferred == NOWHERE       ? device
                          : preferred == DEVICE_HOST ? NULL
                                                     : &devices[preferred];

    if (home && charge(home, STORE_MANAGED, PAGE_BYTES, UINT64_MAX, turn))
        hold(page, home->ordinal);
    else
        hold(page, DEVICE_HOST);
}

/*
 * Whether the device reaches it where it is: there it is preferred, or the device has been promised a mapping. That
 * it is preferred on the device, or mostly read, goes before.
 */
static bool stays(const struct page *page, const struct device *device)
{
    int preferred = page_processor(&page->preferred);

    if (preferred == device->ordinal || page->read_mostly)
        return false;
    return (preferred != NOWHERE && holds(page, preferred)) || page->accessed_by & bit_of(device->ordinal);
}

static void use_far(const struct page *page, struct device *device, size_t bytes, uint64_t *until_ns)
{
    int from = page_holder(page, device);

    device->managed.remote_pages++;
    if (from == DEVICE_HOST)
        wait_until(link_reach(device, LINK_TO_DEVICE, bytes, now_ns()), until_ns);
    else
        wait_until(link_carry(&devices[from], LINK_FROM_DEVICE, bytes, 0), until_ns);
}

/* It comes for being used. False: there is no room. */
static bool fault(struct page *page, struct device *device, bool copy, uint64_t *until_ns)
{
    struct turn turn = fault_begin(device);
    bool has_come = bring(page, device, copy, UINT64_MAX, &turn);

    if (has_come)
        fault_end(device, &turn, until_ns);
    return has_come;
}

void page_use(struct page *page, struct device *device, bool write, size_t bytes, uint64_t *until_ns)
{
    bool copy = page->read_mostly && !write;

    if (!page->held) {
        struct turn turn = fault_begin(device);

        populate(page, device, &turn);
        fault_end(device, &turn, until_ns);
    }
    if (holds(page, device->ordinal)) { /* the driver does not see it, and it becomes no younger */
        if (write)
            collapse(page, device->ordinal);
        return;
    }
    if (options.managed && !stays(page, device) && fault(page, device, copy, until_ns))
        return;
    use_far(page, device, bytes, until_ns);
    if (write)
        page_collapse(page);
}

static void send(struct page *page, struct turn *turn)
{
    int from = page_holder(page, NULL);

    if (from != NOWHERE && from != DEVICE_HOST)
        carry(&devices[from], LINK_FROM_DEVICE, PAGE_BYTES, turn);
    hold(page, DEVICE_HOST);
    if (!page->read_mostly)
        collapse(page, DEVICE_HOST);
}

void page_fetch(struct page_run run, int processor, uint64_t *until_ns)
{
    struct turn turn = {0};
    uint64_t before = uses;

    for (size_t i = 0; processor != DEVICE_HOST && i < run.count; i++)
        if (holds(&run.first[i], processor))
            refresh(&run.first[i], &devices[processor]);
    for (size_t i = 0; i < run.count; i++) {
        struct page *page = &run.first[i];

        if (processor == DEVICE_HOST)
            send(page, &turn);
        else if (holds(page, processor))
            continue;
        else if (bring(page, &devices[processor], page->read_mostly, before, &turn))
            devices[processor].managed.prefetched_pages++;
        else if (!page->held)
            hold(page, DEVICE_HOST);
    }
    wait_until(turn.until_ns, until_ns);
}

int page_processor(const CUmemLocation *location)
{
    return location->type == CU_MEM_LOCATION_TYPE_INVALID  ? NOWHERE
           : location->type == CU_MEM_LOCATION_TYPE_DEVICE ? location->id
                                                           : DEVICE_HOST;
}

int page_holder(const struct page *page, const struct device *device)
{
    if (device && holds(page, device->ordinal))
        return device->ordinal;
    for (int processor = DEVICE_HOST; processor < device_count; processor++)
        if (holds(page, processor))
            return processor;
    return NOWHERE;
}

CUresult page_add(struct device *owner, uintptr_t start, size_t bytes)
{
    size_t count = bytes / PAGE_BYTES;
    struct page *pages;

    if (!options.managed && !device_charge(owner, STORE_MANAGED, bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    pages = calloc(count, sizeof *pages);
    if (!pages || range_insert(&extents, start, bytes, pages) != 0) {
        if (!options.managed)
            device_credit(owner, STORE_MANAGED, bytes);
        free(pages);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        pages[i].owner = owner;
        if (!options.managed)
            hold(&pages[i], owner->ordinal);
    }
    owner->managed.allocated_bytes += bytes;
    return CUDA_SUCCESS;
}

void page_remove(uintptr_t start)
{
    const struct range *extent = range_find(&extents, start);
    struct page *pages = extent->owner;

    for (size_t i = 0; i < extent->size / PAGE_BYTES; i++)
        collapse(&pages[i], NOWHERE);
    pages->owner->managed.allocated_bytes -= extent->size;
    range_remove(&extents, start);
    free(pages);
}

struct page_run page_find(uintptr_t start, size_t bytes)
{
    const struct range *extent = range_find(&extents, start);
    size_t first, last;

    if (!extent || !bytes || bytes > extent->start + extent->size - start)
        return (struct page_run){NULL, 0};
    first = (start - extent->start) / PAGE_BYTES;
    last = (start + bytes - 1 - extent->start) / PAGE_BYTES;
    return (struct page_run){(struct page *)extent->owner + first, last - first + 1};
}

size_t simgpu_managed_bytes(CUdeviceptr start, size_t bytes, int ordinal)
{
    uintptr_t at = start, end = start + bytes;
    size_t held = 0;

    sim_lock();
    while (at < end && ordinal >= DEVICE_HOST && ordinal < device_count) {
        uintptr_t next = (at + PAGE_BYTES) & ~(uintptr_t)(PAGE_BYTES - 1);
        struct page_run run = page_find(at, 1);

        if (next > end)
            next = end;
        if (run.count && holds(run.first, ordinal))
            held += next - at;
        at = next;
    }
    sim_unlock();
    return held;
}
