/* SPDX-License-Identifier: Apache-2.0 */
/* refusal.c - see refusal.h. */
#include "engine/refusal.h"

#include <dlfcn.h>
#include <string.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/size.h"
#include "engine/core.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/state.h"

enum {
    HOLDERS = 3
};

struct holder {
    uint32_t first;
    uint64_t bytes;
    const void *call_site;
    const char *why;
};

static const char *const pin_words[PIN_REASON_COUNT] = {
    [PIN_EXPORTED] = "exported to another process", [PIN_PEER] = "shared with a peer",
    [PIN_REGISTERED] = "registered for RDMA",       [PIN_TEXTURE] = "behind a texture",
    [PIN_GRAPH] = "named by a copy in a graph",     [PIN_API] = "pinned by the program",
    [PIN_LIBRARY] = "internal to a library",        [PIN_REFERENCED] = "named by a graph or a texture",
};

/* Why a block does not leave the device; core.lock held. */
static const char *why_not(uint32_t first)
{
    const struct block *block = &core.blocks.block[first];

    for (unsigned reason = 0; reason < PIN_REASON_COUNT; reason++)
        if (block->pins[reason] && (reason != PIN_REFERENCED || !core.mapped))
            return pin_words[reason];
    if (block->flags & BLOCK_FIXED)
        return pin_words[PIN_LIBRARY];
    if (block_in_launch(first))
        return "in use by a launch";
    if (core.mapped)
        return "nowhere to go";
    if (block->flags & (BLOCK_HOLDER | BLOCK_REFERENCED))
        return block->flags & BLOCK_HOLDER ? "holds pointers" : "a pointer to it was found";
    return movable_may_unmap(first, false) ? "nowhere to go" : "may not be unmapped";
}

static void largest(unsigned ordinal, struct holder *out)
{
    memset(out, 0, HOLDERS * sizeof(*out));
    lock_acquire(&core.lock);
    blocks_each(g, &core.blocks) {
        const struct block *block = &core.blocks.block[g];
        struct holder holder = {g, block->bytes, block->call_site, 0};

        if (block->ordinal != ordinal || holder.bytes <= out[HOLDERS - 1].bytes)
            continue;
        holder.why = why_not(g);
        for (unsigned i = 0; i < HOLDERS; i++)
            if (holder.bytes > out[i].bytes) {
                struct holder next = out[i];

                out[i] = holder;
                holder = next;
            }
    }
    lock_release(&core.lock);
}

static size_t describe(const struct holder *holder, char *buf, size_t size)
{
    struct size_text bytes = size_text(holder->bytes);
    Dl_info info;

    if (!holder->bytes)
        return log_print(buf, size, "%s", "");
    if (holder->call_site && dladdr(holder->call_site, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');

        return log_print(buf, size, "%s from %s+0x%lx (%s); ", bytes.text, slash ? slash + 1 : info.dli_fname,
                         (unsigned long)((uintptr_t)holder->call_site - (uintptr_t)info.dli_fbase),
                         holder->why);
    }
    return log_print(buf, size, "%s (%s); ", bytes.text, holder->why);
}

/* The operation that was pinned next after `after` (NULL: first of all); NULL when there is none. core.lock held. */
static const struct object *next_operation(unsigned ordinal, const struct object *after)
{
    const struct object *next = NULL;

    blocks_each(g, &core.blocks) {
        const struct object *object = &core.blocks.object[g];

        if (object->entry.queue == QUEUE_OPERATIONS && core.blocks.block[g].ordinal == ordinal &&
            (!after || queues_before(&after->entry, &object->entry)) &&
            (!next || queues_before(&object->entry, &next->entry)))
            next = object;
    }
    return next;
}

/* The queue of operations, from its head. */
static void list_operations(unsigned ordinal, char *buf, size_t size)
{
    const struct object *object = NULL;
    size_t length = 0;

    lock_acquire(&core.lock);
    for (unsigned i = 0; i <= HOLDERS && (object = next_operation(ordinal, object)); i++)
        length +=
            i == HOLDERS
                ? log_print(buf + length, size - length, ", ...")
                : log_print(buf + length, size - length, "%s%s%s%s", i ? ", " : " (in order of pinning: ",
                            size_text(core.blocks.block[object - core.blocks.object].bytes).text,
                            *object->name ? " " : "", object->name);
    lock_release(&core.lock);
    log_print(buf + length, size - length, "%s", length ? ")" : "");
}

/* Operations: what the program has pinned, and reserved with nothing behind it yet. Empty when there are none. */
static void describe_operations(unsigned ordinal, char *buf, size_t size)
{
    const struct device_state *device = &core.devices[ordinal];
    char list[160];
    uint64_t pinned_bytes, reserved_bytes;

    lock_acquire(&core.lock);
    pinned_bytes = device->shares.bytes[SHARE_OPERATION];
    reserved_bytes = device->budget.class_bytes[CLASS_RESERVED];
    lock_release(&core.lock);
    *buf = 0;
    if (!pinned_bytes && !reserved_bytes)
        return;
    list_operations(ordinal, list, sizeof(list));
    log_print(buf, size, "operations: %s pinned, %s reserved%s; ", size_text(pinned_bytes).text,
              size_text(reserved_bytes).text, list);
}

/* The budget's use, by class. */
static void describe_classes(const uint64_t *class_bytes, const char *const *words, unsigned count, char *buf,
                             size_t size)
{
    size_t length = 0;

    *buf = 0;
    for (unsigned class = 0; class < count; class ++)
        if (class_bytes[class])
            length += log_print(buf + length, size - length, "%s%s %s", length ? ", " : "",
                                size_text(class_bytes[class]).text, words[class]);
}

/* The largest holders of a device: blocks, each by itself; where there are none, what is there instead. Returns whether
 * there are some, which might go. */
static bool describe_holders(unsigned ordinal, char *buf, size_t size)
{
    static const char *const words[CLASS_COUNT] = {
        [CLASS_BLOCK] = "blocks",    [CLASS_NATIVE] = "allocations that do not move",
        [CLASS_MANAGED] = "managed", [CLASS_POOL] = "in pools",
        [CLASS_ARRAY] = "arrays",    [CLASS_VMM] = "mapped by the program",
        [CLASS_GRAPH] = "of graphs", [CLASS_RESERVED] = "reserved"};
    struct holder holders[HOLDERS];
    uint64_t class_bytes[CLASS_COUNT];
    char classes[256];
    size_t length;

    largest(ordinal, holders);
    if (holders[0].bytes) {
        length = log_print(buf, size, "largest: ");
        for (unsigned i = 0; i < HOLDERS; i++)
            length += describe(&holders[i], buf + length, size - length);
        return true;
    }
    lock_acquire(&core.lock);
    memcpy(class_bytes, core.devices[ordinal].budget.class_bytes, sizeof(class_bytes));
    lock_release(&core.lock);
    describe_classes(class_bytes, words, CLASS_COUNT, classes, sizeof(classes));
    log_print(buf, size, "%s%s%s", *classes ? "holds " : "", classes, *classes ? "; " : "");
    return false;
}

/* Bytes as a text; the most that a word holds is a number here, and not the lack of a limit. */
static struct size_text asked_text(uint64_t bytes)
{
    return size_text(bytes < SIZE_UNLIMITED ? bytes : SIZE_UNLIMITED - 1);
}

/* The option that would have helped. */
static const char *advice(uint64_t bytes, bool any_blocks)
{
    if (!any_blocks)
        return "a larger EBBTIDE_DEVICE_BUDGET";
    if (core_places()) /* no block goes to disk */
        return "a larger EBBTIDE_HOST_BUDGET or EBBTIDE_DEVICE_BUDGET";
    if (headroom_disk_open() && headroom_disk() < bytes)
        return "a larger EBBTIDE_DISK_BUDGET, EBBTIDE_HOST_BUDGET or EBBTIDE_DEVICE_BUDGET";
    if (core.device->host_mappable && !core.mapped)
        return "EBBTIDE_RESIDENCY=mapped, EBBTIDE_DISK=auto or a larger EBBTIDE_DEVICE_BUDGET";
    if (!core.mapped && !options_search(core.options) && core.options->disk != DISK_ALWAYS)
        return "EBBTIDE_DISK=auto or a larger EBBTIDE_DEVICE_BUDGET";
    if (core.options->disk == DISK_REGISTERED || core.options->disk == DISK_OFF)
        return "EBBTIDE_DISK=auto, a larger EBBTIDE_HOST_BUDGET or EBBTIDE_DEVICE_BUDGET";
    return "a larger EBBTIDE_DISK_BUDGET, EBBTIDE_HOST_BUDGET or EBBTIDE_DEVICE_BUDGET";
}

bool refusal_is_waived(void)
{
    return core.options->on_full == ON_FULL_ALLOW || atomic_load(&core.leaving);
}

void refusal_device(unsigned ordinal, uint64_t bytes, const char *what)
{
    struct budget *budget = &core.devices[ordinal].budget;
    char list[320], operations[256];
    bool any_blocks;

    if (atomic_load(&core.leaving))
        return;
    lock_acquire(&core.lock);
    budget_refuse(budget);
    lock_release(&core.lock);
    any_blocks = describe_holders(ordinal, list, sizeof(list));
    describe_operations(ordinal, operations, sizeof(operations));
    log_line(LOG_WARN, "device %u: %s of %s refused, budget %s has %s free, host %s free; %s%sraise with %s",
             ordinal, what, asked_text(bytes).text, size_text(budget->limit_bytes).text,
             size_text(headroom_device(ordinal)).text, size_text(headroom_host()).text, operations, list,
             advice(bytes, any_blocks));
}

/* Operations and buffers in host memory. Empty when the program has made none. */
static void describe_shares(char *buf, size_t size)
{
    struct shares shares;

    *buf = 0;
    if (!share_in_force())
        return;
    shares = host_share_now();
    log_print(buf, size, "; operations: %s pinned, buffers: %s", size_text(shares.operations_bytes).text,
              size_text(shares.buffers_bytes).text);
}

void core_host_refused(uint64_t bytes, const char *what)
{
    static _Atomic uint64_t said;
    static const char *const words[HOST_CLASS_COUNT] = {[HOST_HEAP] = "heap",
                                                        [HOST_PINNED] = "pinned",
                                                        [HOST_REGISTERED] = "registered",
                                                        [HOST_TIER] = "blocks"};
    char holds[128], shares[96];
    uint64_t keep_bytes = headroom_host_staging(), count;
    /* No machine could give it, and libc's own malloc would not either: the program asks to see what happens. */
    bool absurd = bytes > machine_most_bytes();
    struct budget budget;

    lock_acquire(&core.lock);
    budget_refuse(&core.host_budget);
    budget = core.host_budget;
    lock_release(&core.lock);
    count = absurd ? 0 : atomic_fetch_add(&said, 1) + 1;
    if (count & (count - 1)) /* a program that goes on trying would fill the log */
        return;
    describe_classes(budget.class_bytes, words, HOST_CLASS_COUNT, holds, sizeof(holds));
    describe_shares(shares, sizeof(shares));
    log_line(absurd ? LOG_INFO : LOG_WARN,
             "host: %s of %s refused, budget %s has %s free; holds %s%s; raise with EBBTIDE_HOST_BUDGET",
             what, asked_text(bytes).text, size_text(budget.limit_bytes).text,
             size_text(budget_room(&budget, keep_bytes)).text, *holds ? holds : "nothing", shares);
}
