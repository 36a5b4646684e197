/* SPDX-License-Identifier: Apache-2.0 */
/* refusal.c - see refusal.h. */
#include "engine/refusal.h"

#include <dlfcn.h>
#include <string.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/size.h"
#include "engine/core.h"
#include "engine/holdings.h"
#include "ledger/busy.h"
#include "ledger/headroom.h"
#include "ledger/live.h"
#include "ledger/state.h"

enum {
    HOLDERS = 3,
    KINDS_SAID = 3, /* those that hold most */
    PARTS_SAID = 2, /* of each, likewise */
    LIST_BYTES = 208
};

/* A list of the line: what finds no room in it is left out as a whole. */
struct list {
    char text[LIST_BYTES];
    size_t length;
};

static void list_add(struct list *list, const char *item)
{
    size_t length = strlen(item);

    if (length >= sizeof(list->text) - list->length)
        return;
    memcpy(list->text + list->length, item, length + 1);
    list->length += length;
}

/* ---- who holds it, by kind ---------------------------------------------------------------------------------------- */

static const char *part_words(unsigned why)
{
    return why == STAY_NOT ? "could move" : stay_words[why];
}

static uint64_t part_bytes(const struct kind_figures *kind, unsigned why)
{
    return why == STAY_NOT ? kind->leaves.bytes : kind->stays[why].bytes;
}

/* The largest part that is not larger than the one before, which is `after`; STAY_COUNT + 1: there is none. */
static unsigned next_part(const struct kind_figures *kind, unsigned after)
{
    unsigned next = STAY_COUNT + 1;

    for (unsigned why = 0; why <= STAY_COUNT; why++) {
        uint64_t bytes = part_bytes(kind, why),
                 most = after > STAY_COUNT ? UINT64_MAX : part_bytes(kind, after);

        if (bytes && (bytes < most || (bytes == most && why > after)) &&
            (next > STAY_COUNT || bytes > part_bytes(kind, next)))
            next = why;
    }
    return next;
}

/* "144 MiB in blocks (96 MiB nowhere to go, 48 MiB pinned by the program)" */
static void describe_kind(const struct kind_figures *kind, const char *words, char *buf, size_t size)
{
    unsigned why = next_part(kind, STAY_COUNT + 1);
    size_t length = log_print(buf, size, "%s in %s (", size_text(kind->device_bytes).text, words);

    if (part_bytes(kind, why) == kind->device_bytes) {
        log_print(buf + length, size - length, "%s)", part_words(why));
        return;
    }
    for (unsigned i = 0; why <= STAY_COUNT; i++, why = next_part(kind, why)) {
        if (i == PARTS_SAID) {
            length += log_print(buf + length, size - length, ", ...");
            break;
        }
        length += log_print(buf + length, size - length, "%s%s %s", i ? ", " : "",
                            size_text(part_bytes(kind, why)).text, part_words(why));
    }
    log_print(buf + length, size - length, ")");
}

/* The kinds that hold most, and the rest as one. Empty where nothing is held. */
static void describe_kinds(const struct kinds *kinds, struct list *out)
{
    uint64_t rest_bytes = kinds->budget.used_bytes;
    bool said[KIND_COUNT] = {false};
    char item[LIST_BYTES];

    for (unsigned i = 0; i < KINDS_SAID && rest_bytes; i++) {
        enum kind most = KIND_BLOCK;

        for (enum kind kind = KIND_BLOCK; kind < KIND_COUNT; kind++)
            if (said[most] || (!said[kind] && kinds->of[kind].device_bytes > kinds->of[most].device_bytes))
                most = kind;
        said[most] = true;
        if (!kinds->of[most].device_bytes)
            break;
        rest_bytes -= kinds->of[most].device_bytes;
        list_add(out, i ? ", " : "holds ");
        describe_kind(&kinds->of[most], kind_words[most], item, sizeof(item));
        list_add(out, item);
    }
    if (rest_bytes) {
        log_print(item, sizeof(item), ", %s in others", size_text(rest_bytes).text);
        list_add(out, item);
    }
    list_add(out, out->length ? "; " : "");
}

/* ---- the largest allocations -------------------------------------------------------------------------------------- */

/* An allocation of the program's, or memory that it has freed. */
struct holder {
    uint64_t bytes; /* on the device; 0: none */
    const void *call_site;
    enum stay why;
};

static void insert(struct holder *list, struct holder holder)
{
    for (unsigned i = 0; i < HOLDERS; i++)
        if (holder.bytes > list[i].bytes) {
            struct holder next = list[i];

            list[i] = holder;
            holder = next;
        }
}

struct cells {
    struct holder *list;
    enum stay why;
};

static void insert_cell(const struct cell *cell, void *arg)
{
    const struct cells *cells = arg;

    insert(cells->list, (struct holder){cell->bytes, cell->call_site, cells->why});
}

/* What of the block is on the device, as large as the program asked for it. */
static void insert_block(uint32_t first, struct kinds_room *room, struct holder *list)
{
    const struct block *block = &core.blocks.block[first];
    uint64_t bytes;
    enum stay why = kind_stays(first, room, &bytes);

    if (bytes && block->is_bin && block_alive(block))
        bin_visit(first, insert_cell, &(struct cells){list, why});
    else
        insert(list, (struct holder){bytes < block->bytes ? bytes : block->bytes, block->call_site, why});
}

static void largest(unsigned ordinal, struct holder *out)
{
    struct kinds_room room = kinds_room_now();

    memset(out, 0, HOLDERS * sizeof(*out));
    lock_acquire(&core.lock);
    blocks_each(first, &core.blocks)
        if (core.blocks.block[first].ordinal == ordinal)
            insert_block(first, &room, out);
    lock_release(&core.lock);
}

static void describe(const struct holder *holder, char *buf, size_t size)
{
    struct size_text bytes = size_text(holder->bytes);
    const char *words = part_words(holder->why);
    Dl_info info;

    if (holder->call_site && dladdr(holder->call_site, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');

        log_print(buf, size, "%s from %s+0x%lx (%s); ", bytes.text, slash ? slash + 1 : info.dli_fname,
                  (unsigned long)((uintptr_t)holder->call_site - (uintptr_t)info.dli_fbase), words);
        return;
    }
    log_print(buf, size, "%s (%s); ", bytes.text, words);
}

/* Allocations, each by itself. Empty where there are none. */
static void describe_largest(unsigned ordinal, struct list *out)
{
    struct holder holders[HOLDERS];
    char item[LIST_BYTES];

    largest(ordinal, holders);
    for (unsigned i = 0; i < HOLDERS && holders[i].bytes; i++) {
        list_add(out, i ? "" : "largest: ");
        describe(&holders[i], item, sizeof(item));
        list_add(out, item);
    }
}

/* ---- operations --------------------------------------------------------------------------------------------------- */

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

/* Bytes as a text; the most that a word holds is a number here, and not the lack of a limit. */
static struct size_text asked_text(uint64_t bytes)
{
    return size_text(bytes < SIZE_UNLIMITED ? bytes : SIZE_UNLIMITED - 1);
}

/* ---- what would have helped ----------------------------------------------------------------------------------------- */

enum {
    OPTIONS_SAID = 4
};

/* Options to set so, and those to set higher. */
struct advice {
    const char *set[OPTIONS_SAID], *raise[OPTIONS_SAID];
    unsigned sets, raises;
};

static void advise(struct advice *advice, const char *setting)
{
    if (advice->sets < OPTIONS_SAID)
        advice->set[advice->sets++] = setting;
}

static void advise_more(struct advice *advice, const char *option)
{
    if (advice->raises < OPTIONS_SAID)
        advice->raise[advice->raises++] = option;
}

/* What is kept for a reason, and with it by what was rounded up or is kept by pools. */
static uint64_t kept_for(const struct kinds *kinds, enum stay why)
{
    uint64_t bytes = 0;

    for (enum kind kind = KIND_BLOCK; kind < KIND_COUNT; kind++) {
        const struct kind_part *stays = kinds->of[kind].stays;

        if (stays[why].bytes)
            bytes += stays[why].bytes + stays[STAY_ROUNDED].bytes + stays[STAY_KEPT].bytes;
    }
    return bytes;
}

/* Would evicted blocks be mapped if the program's user did not ask that they are not? Whether the device can is not known. */
static bool may_be_mapped(void)
{
    return !core.mapped && core.options->residency == RESIDENCY_STRICT;
}

/* Blocks could move, had they a place, or were they known not to be pointed to. */
static void advise_places(uint64_t bytes, struct advice *out)
{
    const struct options *options = core.options;

    if (core_places()) { /* no block goes to disk */
        advise_more(out, "EBBTIDE_HOST_BUDGET");
    } else if (headroom_disk_open() && headroom_disk() < bytes) {
        advise_more(out, "EBBTIDE_DISK_BUDGET");
        advise_more(out, "EBBTIDE_HOST_BUDGET");
    } else if (may_be_mapped()) {
        advise(out, "EBBTIDE_RESIDENCY=mapped");
        if (!options_search(options) && options->disk != DISK_ALWAYS)
            advise(out, "EBBTIDE_DISK=auto");
    } else if (!core.mapped && !options_search(options) && options->disk != DISK_ALWAYS) {
        advise(out, "EBBTIDE_DISK=auto");
    } else if (options->disk == DISK_REGISTERED || options->disk == DISK_OFF) {
        advise(out, "EBBTIDE_DISK=auto");
        advise_more(out, "EBBTIDE_HOST_BUDGET");
    } else {
        advise_more(out, "EBBTIDE_DISK_BUDGET");
        advise_more(out, "EBBTIDE_HOST_BUDGET");
    }
}

/* Is it the budget that is too small, and not the device? */
static bool budget_may_rise(unsigned ordinal, uint64_t bytes)
{
    const struct device_state *device = &core.devices[ordinal];

    return device->budget.limit_bytes == device->configured_bytes &&
           (!device->total_bytes ||
            (device->configured_bytes < device->total_bytes && bytes <= device->total_bytes));
}

/* Settings that let go of what stays for a reason. */
static const struct {
    enum stay why;
    const char *setting;
} settings[] = {{STAY_CACHEABLE, "EBBTIDE_CACHEABLE=auto"},
                {STAY_ALLOCATOR, "EBBTIDE_ALLOCATOR=vmm"},
                {STAY_UNMAPPABLE, "EBBTIDE_ALLOCATOR=managed"},
                {STAY_MIN_BLOCK, "EBBTIDE_MIN_BLOCK=0"}};

enum {
    SETTINGS = sizeof(settings) / sizeof(*settings)
};

/* Bytes that have to go beside those that could. */
static uint64_t lacking(unsigned ordinal, uint64_t bytes, const struct kinds *kinds)
{
    uint64_t room = headroom_device(ordinal);

    for (enum kind kind = KIND_BLOCK; kind < KIND_COUNT; kind++)
        room += kinds->of[kind].leaves.bytes;
    return shares_over(bytes, room);
}

/* The options that would have helped, by themselves or together, and no others. */
static struct advice find_advice(unsigned ordinal, uint64_t bytes, bool is_launch, const struct kinds *kinds)
{
    struct advice advice = {.sets = 0};
    uint64_t lack = is_launch ? 0 : lacking(ordinal, bytes, kinds), all, places;

    places = kept_for(kinds, STAY_NOWHERE) + kept_for(kinds, STAY_UNPROVEN) + kept_for(kinds, STAY_HOLDER) +
             kept_for(kinds, STAY_POINTED);
    all = places;
    for (unsigned i = 0; i < SETTINGS; i++)
        all += kept_for(kinds, settings[i].why);
    for (unsigned i = 0; i < SETTINGS; i++) {
        uint64_t kept = kept_for(kinds, settings[i].why);

        if (settings[i].why == STAY_UNMAPPABLE && !(core.device->floating >> ordinal & 1))
            continue; /* the device moves no managed memory, either */
        if (kept && (kept >= lack || (places < lack && all >= lack)))
            advise(&advice, settings[i].setting);
    }
    if (places && all >= lack)
        advise_places(bytes, &advice);
    else if (is_launch && may_be_mapped())
        advise(&advice, "EBBTIDE_RESIDENCY=mapped");
    if (budget_may_rise(ordinal, bytes))
        advise_more(&advice, "EBBTIDE_DEVICE_BUDGET");
    return advice;
}

/* "raise with A=b, a larger C or D"; where nothing would have helped, that. */
static void describe_advice(const struct advice *advice, char *buf, size_t size)
{
    size_t length = 0;

    for (unsigned i = 0; i < advice->sets; i++)
        length += log_print(buf + length, size - length, "%s%s",
                            !i                                         ? "raise with "
                            : i + 1 == advice->sets && !advice->raises ? " or "
                                                                       : ", ",
                            advice->set[i]);
    for (unsigned i = 0; i < advice->raises; i++)
        length += log_print(buf + length, size - length, "%s%s%s",
                            !length                   ? "raise with "
                            : i + 1 == advice->raises ? " or "
                                                      : ", ",
                            i ? "" : "a larger ", advice->raise[i]);
    if (!length)
        log_print(buf, size, "the device has no more");
}

bool refusal_is_waived(void)
{
    return core.options->on_full == ON_FULL_ALLOW || atomic_load(&core.leaving);
}

void refusal_device(unsigned ordinal, uint64_t bytes, const char *what)
{
    struct budget *budget = &core.devices[ordinal].budget;
    struct list holds = {.length = 0}, list = {.length = 0};
    char operations[256], helps[160];
    struct advice advice;
    struct kinds kinds;

    if (atomic_load(&core.leaving))
        return;
    lock_acquire(&core.lock);
    budget_refuse(budget);
    lock_release(&core.lock);
    live_changed();
    core_kinds(ordinal, &kinds);
    describe_kinds(&kinds, &holds);
    describe_largest(ordinal, &list);
    describe_operations(ordinal, operations, sizeof(operations));
    advice = find_advice(ordinal, bytes, strcmp(what, "launch") == 0, &kinds);
    describe_advice(&advice, helps, sizeof(helps));
    log_line(LOG_WARN, "device %u: %s of %s refused, budget %s has %s free, host %s free; %s%s%s%s", ordinal,
             what, asked_text(bytes).text, size_text(budget->limit_bytes).text,
             size_text(headroom_device(ordinal)).text, size_text(headroom_host()).text, holds.text,
             operations, list.text, helps);
}

void core_device_refused(unsigned ordinal, uint64_t bytes, const char *what)
{
    if (core_active() && ordinal < core.device->count)
        refusal_device(ordinal, bytes, what);
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
