/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_parameters.c - see kernel_parameters.h. */
#include "cuda/kernel_parameters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <utlist.h>

#include "base/cancel_guard.h"
#include "base/compiler.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/pages.h"
#include "base/table.h"
#include "cuda/contexts.h"
#include "cuda/kernel_images.h"

/* Consecutive words of one parameter. */
struct run {
    uint16_t parameter;
    uint16_t first_byte; /* within the parameter */
    uint32_t words;
};

struct layout {
    struct layout *next; /* of the same bucket */
    uint32_t runs;
    bool is_known;
    /* Every parameter is one aligned word, as addresses and counts are, and only blocks are looked for. */
    _Atomic bool is_plain;
    bool is_words; /* the former */
    struct run run[];
};

/* A free entry has no key, a forgotten one GONE. The layout is written before the key. */
struct entry {
    _Atomic uint64_t key;
    const struct layout *_Atomic layout;
    uint64_t owner; /* module or library; 0: not known */
    bool is_kernel; /* of a library, without a context */
};

struct cache {
    uint32_t mask;
    uint32_t used; /* entries with a key, GONE included; lock held */
    struct entry entry[];
};

enum {
    GONE = 1,
    FIRST_CAPACITY = 1024,
    RUNS_MAX = 1024,
    BUCKETS = 256,
    ARENA_BYTES = 1 << 20
};

static const struct layout unknown_layout;

static struct cache *_Atomic cache;
static struct lock lock = LOCK_INIT(LOCK_KERNELS); /* for everything below, and for writing */
static struct layout *buckets[BUCKETS];
static bool watches; /* managed memory is looked for, too */
static unsigned char *arena;
static size_t arena_left;

static const struct layout *look_up(uint64_t key)
{
    const struct cache *now = atomic_load_explicit(&cache, memory_order_acquire);

    if (!now)
        return NULL;
    for (uint32_t i = (uint32_t)table_hash(key) & now->mask;; i = (i + 1) & now->mask) {
        uint64_t found = atomic_load_explicit(&now->entry[i].key, memory_order_acquire);

        if (found == key)
            return atomic_load_explicit(&now->entry[i].layout, memory_order_relaxed);
        if (!found)
            return NULL;
    }
}

/* The words of one parameter. Alignment counts from the start of the parameter buffer. */
static struct run run_of(size_t index, size_t offset, size_t bytes)
{
    size_t first = (8 - offset % 8) % 8;

    return (struct run){(uint16_t)index, (uint16_t)first,
                        bytes >= first + 8 ? (uint32_t)((bytes - first) / 8) : 0};
}

/* Ask the driver. Returns the number of runs, or -1 when the layout cannot be known. `*out_count`: of parameters. */
static int read_layout(CUfunction function, bool is_kernel, struct run *out, size_t *out_count)
{
    int runs = 0;
    size_t offset;
    size_t bytes;

    for (size_t i = 0;; i++) {
        CUresult result = is_kernel ? real.cuKernelGetParamInfo((CUkernel)function, i, &offset, &bytes)
                                    : real.cuFuncGetParamInfo(function, i, &offset, &bytes);

        *out_count = i;
        if (result == CUDA_ERROR_INVALID_VALUE)
            return runs;
        if (result != CUDA_SUCCESS || runs == RUNS_MAX || i > UINT16_MAX)
            return -1;
        out[runs] = run_of(i, offset, bytes);
        runs += out[runs].words != 0;
    }
}

/* The driver's answer. Behind the last parameter it says "invalid value", and at once where there is none: but that is
 * the one error documented, and may be its word for a kernel of a library, too. */
static int ask_driver(CUfunction function, struct run *out, bool *out_is_kernel)
{
    size_t count = 0, of_kernel;
    int runs = real.cuFuncGetParamInfo ? read_layout(function, false, out, &count) : -1;

    if ((runs < 0 || !count) && real.cuKernelGetParamInfo) {
        int as_kernel = read_layout(function, true, out, &of_kernel);

        *out_is_kernel = as_kernel >= 0 && (runs < 0 || of_kernel);
        runs = *out_is_kernel ? as_kernel : runs;
    }
    return runs;
}

/* The image's answer, where the driver has none. */
static int ask_image(CUfunction function, struct run *out, struct entry *entry)
{
    struct kernel_parameter parameter[KERNEL_PARAMETERS_MAX];
    int count = kernel_images_find(function, parameter, &entry->owner, &entry->is_kernel);
    int runs = count < 0 ? -1 : 0;

    for (int i = 0; i < count; i++) {
        out[runs] = run_of((size_t)i, parameter[i].offset, parameter[i].bytes);
        runs += out[runs].words != 0;
    }
    return runs;
}

/* One layout for all functions that share it. Lock held. */
static const struct layout *intern(const struct run *run, uint32_t runs)
{
    uint64_t hash = runs;
    size_t bytes = sizeof(struct layout) + runs * sizeof(*run);

    for (uint32_t i = 0; i < runs; i++)
        hash = table_hash(
            hash ^ ((uint64_t)run[i].words << 32 | (uint64_t)run[i].parameter << 16 | run[i].first_byte));
    struct layout **bucket = &buckets[hash % BUCKETS], *known;

    LL_FOREACH(*bucket, known)
        if (known->runs == runs && memcmp(known->run, run, runs * sizeof(*run)) == 0)
            return known;
    bytes = (bytes + 7) / 8 * 8;
    if (arena_left < bytes) {
        arena = pages_take(ARENA_BYTES);
        arena_left = arena ? ARENA_BYTES : 0;
        if (!arena)
            return &unknown_layout;
    }
    struct layout *layout = (struct layout *)(void *)arena;

    arena += bytes;
    arena_left -= bytes;
    layout->runs = runs;
    layout->is_known = true;
    layout->is_words = true;
    for (uint32_t i = 0; i < runs; i++)
        layout->is_words &= run[i].parameter == i && run[i].first_byte == 0 && run[i].words == 1;
    layout->is_plain = layout->is_words && !watches;
    memcpy(layout->run, run, runs * sizeof(*run));
    LL_PREPEND(*bucket, layout);
    return layout;
}

static void insert(struct cache *into, const struct entry *entry)
{
    uint32_t i = (uint32_t)table_hash(entry->key) & into->mask;

    while (into->entry[i].key > GONE && into->entry[i].key != entry->key)
        i = (i + 1) & into->mask;
    into->used += !into->entry[i].key;
    into->entry[i].owner = entry->owner;
    into->entry[i].is_kernel = entry->is_kernel;
    atomic_store_explicit(&into->entry[i].layout, entry->layout, memory_order_relaxed);
    atomic_store_explicit(&into->entry[i].key, entry->key, memory_order_release);
}

/* Room for one more. The table that is left behind stays for those who still read it; all such tables together are
 * smaller than the one in use. Lock held. */
static bool make_room(void)
{
    uint32_t capacity = cache ? cache->mask + 1 : 0;

    if (cache && (cache->used + 1) * 2 <= capacity)
        return true;
    capacity = capacity ? capacity * 2 : FIRST_CAPACITY;
    struct cache *bigger = pages_take(sizeof(*bigger) + capacity * sizeof(struct entry));

    if (!bigger)
        return false;
    bigger->mask = capacity - 1;
    for (uint32_t i = 0; cache && i <= cache->mask; i++)
        if (cache->entry[i].key > GONE)
            insert(bigger, &cache->entry[i]);
    atomic_store_explicit(&cache, bigger, memory_order_release);
    return true;
}

static uint64_t owner_of(CUfunction function, bool is_kernel)
{
    CUmodule module = NULL;
    CUlibrary library = NULL;

    if (is_kernel)
        return real.cuKernelGetLibrary &&
                       real.cuKernelGetLibrary(&library, (CUkernel)function) == CUDA_SUCCESS
                   ? real_key(library)
                   : 0;
    return real.cuFuncGetModule && real.cuFuncGetModule(&module, function) == CUDA_SUCCESS ? real_key(module)
                                                                                           : 0;
}

static void say_unknown(void)
{
    static atomic_bool is_said;

    if (!atomic_exchange_explicit(&is_said, true, memory_order_relaxed))
        log_line(LOG_WARN,
                 "the driver does not tell the parameters of kernels%s, nor does an image that could be "
                 "read: such "
                 "launches may use every block, and bring back what they do not need",
                 real.cuFuncGetParamInfo ? "" : " (12.4 and newer do)");
}

/* Once for each function. */
static const struct layout *learn(CUfunction function)
{
    struct run run[RUNS_MAX];
    struct entry entry = {.key = real_key(function), .layout = &unknown_layout};
    int runs = ask_driver(function, run, &entry.is_kernel);

    if (runs < 0)
        runs = ask_image(function, run, &entry);
    if (!entry.owner)
        entry.owner = owner_of(function, entry.is_kernel);
    if (runs < 0)
        say_unknown();
    lock_acquire(&lock);
    if (runs >= 0)
        entry.layout = intern(run, (uint32_t)runs);
    if (make_room())
        insert(cache, &entry);
    lock_release(&lock);
    return entry.layout;
}

static NO_INLINE const struct layout *learn_apart(CUfunction function)
{
    const struct layout *layout;
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    CUstreamCaptureMode mode = quiet_begin(); /* a function that is loaded late is loaded now */

    layout = learn(function);
    quiet_end(mode);
    cancel_guard_leave(&guard);
    return layout;
}

static void note(struct use *use, const void *memory, size_t bytes)
{
    use_words(use, memory, bytes);
    if (core_managed_any())
        use_managed_words(use, memory, bytes);
}

static void use_extra(struct use *use, void **extra)
{
    const unsigned char *buffer = NULL;
    const size_t *bytes = NULL;

    for (; *extra != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = extra[1];
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = extra[1];
        else
            break; /* not understood; the driver will say so */
    }
    if (buffer && bytes)
        note(use, buffer, *bytes);
}

void kernel_parameters_use(struct use *use, CUfunction function, void **kernel_params, void **extra)
{
    if (!kernel_params) {
        if (extra)
            use_extra(use, extra);
        return;
    }
    if (!function)
        return;
    const struct layout *layout = look_up(real_key(function));

    if (UNLIKELY(!layout))
        layout = learn_apart(function);
    if (LIKELY(atomic_load_explicit(&layout->is_plain, memory_order_relaxed))) {
        use_pointed(use, kernel_params, layout->runs);
        return;
    }
    if (!layout->is_known) {
        use->all |= USE_UNSEEN;
        return;
    }
    for (const struct run *run = layout->run, *end = run + layout->runs; run < end; run++)
        note(use, (const unsigned char *)kernel_params[run->parameter] + run->first_byte,
             run->words * sizeof(uint64_t));
}

void kernel_parameters_use_list(struct use *use, const CUDA_LAUNCH_PARAMS *list, unsigned count)
{
    for (unsigned i = 0; list && i < count; i++)
        kernel_parameters_use(use, list[i].function, list[i].kernelParams, NULL);
}

void kernel_parameters_watch(void)
{
    struct layout *layout;

    lock_acquire(&lock);
    if (watches != core_managed_any()) {
        watches = !watches;
        for (unsigned i = 0; i < BUCKETS; i++)
            LL_FOREACH(buckets[i], layout)
                atomic_store_explicit(&layout->is_plain, layout->is_words && !watches, memory_order_relaxed);
    }
    lock_release(&lock);
}

void kernel_parameters_forget(const void *module_or_library, bool is_library)
{
    uint64_t owner = real_key(module_or_library);

    lock_acquire(&lock);
    for (uint32_t i = 0; cache && i <= cache->mask; i++) {
        struct entry *entry = &cache->entry[i];
        bool is_owned = !owner || !entry->owner || entry->owner == owner;

        /* A library's functions belong to a module in each context, whose handle we do not know: all go with it. */
        if (entry->key > GONE && (entry->is_kernel ? is_library && is_owned : is_library || is_owned))
            atomic_store_explicit(&entry->key, GONE, memory_order_release);
    }
    lock_release(&lock);
}
