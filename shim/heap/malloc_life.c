/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_life.c - see heap.h. */
#include "heap/malloc_state.h"

#include "base/fork.h"
#include "base/options.h"
#include "engine/core.h"
#include "host/host_block.h"
#include "ledger/state.h"

#include <argz.h>
#include <stdlib.h>
#include <string.h>

/* Nobody allocates meanwhile. The host has started or has not, and its ledger is in order, in the child. */
static void fork_prepare(void)
{
    lock_acquire(&core_starting);
    heap_fork_begin();
    lock_acquire(&core.lock);
}

static void fork_parent(void)
{
    lock_release(&core.lock);
    heap_fork_parent();
    lock_release(&core_starting);
}

static void fork_child(void)
{
    lock_release(&core.lock);
    lock_release(&core_starting);
    malloc_thread_forked();
    heap_fork_child(malloc_has_thread() ? &malloc_thread()->account : NULL);
}

FORK_HANDLERS(.turn = FORK_HEAP, .prepare = fork_prepare, .parent = fork_parent, .child = fork_child);

void malloc_first(void)
{
    if (!malloc_is_set() && !malloc_is_passed())
        malloc_end(malloc_begin(), false);
}

/* Do libc's own allocations come here? A look-up of the name would go by dlsym, in front of which we stand ourselves.
 * What libc allocates and frees again stays in order, whoever's malloc it is. */
static bool is_reached(void)
{
    char *list = NULL;
    size_t bytes;
    bool ours;

    if (argz_create_sep("a", 0, &list, &bytes))
        return false;
    ours = malloc_size(list);
    argz_delete(&list, &bytes, list);
    return ours;
}

/* Whoever has a malloc before ours in the program's order gets every call to it, and hands ours what it gave out. One
 * behind ours that serves C++'s operators would have a part of the objects, and the program may mix them. */
static bool is_wanted(const struct options *options)
{
    const char *preloads = getenv("LD_PRELOAD");
    bool has_next = !malloc_is_sanitized() && malloc_next_find();

    return !options->disable && !malloc_is_sanitized() && !(preloads && strstr(preloads, "vgpreload")) &&
           is_reached() && !(has_next && malloc_next_has_users());
}

/* From now on no fast path finds anything. */
static void pass(void)
{
    struct heap_account *account;

    if (malloc_is_passed())
        return;
    account = malloc_begin();
    malloc_empty_kept();
    tcache_enabled_set(malloc_tsd, false);
    malloc_end(account, true);
    malloc_passes = true;
}

/* jemalloc's map from addresses has every page of a slab, and of a large object the first and the last. */
#define LEAF_BYTES  ((uintptr_t)1 << rtree_leaf_maskbits())
#define LEAVES_MOST 256

/* Does the address lie in an object of ours? From the nearest page below it that the map knows. */
bool malloc_counts(const void *memory)
{
    uintptr_t page = (uintptr_t)memory & ~(uintptr_t)PAGE_MASK;
    unsigned missing = 0;
    rtree_ctx_t cache;

    if (malloc_passes)
        return false;
    rtree_ctx_data_init(&cache);
    while (page && missing < LEAVES_MOST) {
        rtree_leaf_elm_t *leaf =
            rtree_leaf_elm_lookup(TSDN_NULL, &arena_emap_global.rtree, &cache, page, false, false);
        const edata_t *found =
            leaf ? rtree_leaf_elm_read(TSDN_NULL, &arena_emap_global.rtree, leaf, false).edata : NULL;

        if (found)
            return edata_state_get(found) == extent_state_active &&
                   (uintptr_t)memory < (uintptr_t)edata_base_get(found) + edata_size_get(found);
        if (!leaf) {
            missing++;
            page &= ~(LEAF_BYTES - 1);
        }
        page = page < PAGE ? 0 : page - PAGE;
    }
    return false;
}

void malloc_start(const struct options *options)
{
    if (!is_wanted(options)) {
        pass();
        return;
    }
    malloc_end(malloc_begin(), false);
    heap_start(options);
    heap_trim = malloc_trim_dirty;
    heap_drop_kept = malloc_drop_kept;
    host_block_is_heap = malloc_counts;
    if (options->host_cacheable_bytes != UINT64_MAX)
        malloc_cacheable_bytes = options->host_cacheable_bytes > SC_LARGE_MINCLASS
                                     ? options->host_cacheable_bytes
                                     : SC_LARGE_MINCLASS;
    malloc_end(malloc_begin(), true);
}
