/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_slow.c - what the fast paths leave over: first calls, large objects, limits, what is not ours. */
#include "heap/malloc_state.h"

#include "base/cancel_guard.h"
#include "base/compiler.h"
#include "base/fork.h"
#include "base/loader.h"

#include <dlfcn.h>

/* jemalloc's settings. A thread's cache begins with begin_cache, since it costs a short thread more than it saves; the
 * rest keeps freed memory near the thread that freed it. Large objects are kept by malloc_state.h, and
 * the ledger knows of them. */
const char *je_malloc_conf =
    "tcache:false,tcache_max:16384,slab_sizes:512-4096:32,tcache_nslots_small_max:2000,"
    "lg_tcache_nslots_mul:3,lg_tcache_flush_small_div:2,tcache_gc_incr_bytes:1048576,oversize_threshold:0,"
    "trust_madvise:true";

/* Where jemalloc would look for more of them: in the environment, for JE_MALLOC_CONF, and in the name that a link in /etc has. What is
 * there is meant for a jemalloc of the program's own, and may print and abort. The linker is told to lead it here. */
char *__wrap_secure_getenv(const char *name);
ssize_t __wrap_readlink(const char *path, char *text, size_t bytes);

char *__wrap_secure_getenv(IGNORED const char *name)
{
    return NULL;
}

ssize_t __wrap_readlink(IGNORED const char *path, IGNORED char *text, IGNORED size_t bytes)
{
    return -1;
}

/* A thread that has allocated so much, with those before it whose data it goes on with, gets a cache. */
#define CACHE_FROM_BYTES (64 << 10)
/* So much counts each call besides: many small ones take as long without one. */
#define CALL_BYTES 128

/* The first refills of a cache fetch at most so many objects. */
#define FILL_MOST 64

bool malloc_passes;
size_t malloc_cacheable_bytes = SIZE_MAX;

static uint64_t held_arenas[MALLOCX_ARENA_LIMIT / 64 + 1];
static unsigned kept_first; /* jemalloc's index of the first class that is kept */

/* jemalloc gives an arena's pages back when its last thread goes, and the next short thread faults them in again. */
static void hold_arena(tsd_t *tsd)
{
    arena_t *arena = arena_choose(tsd, NULL);
    uint64_t bit;
    unsigned index;

    if (!arena)
        return;
    index = arena_ind_get(arena);
    bit = (uint64_t)1 << index % 64;
    if (!(__atomic_fetch_or(&held_arenas[index / 64], bit, __ATOMIC_RELAXED) & bit))
        arena_nthreads_inc(arena, false);
}

static bool is_set;

bool malloc_is_set(void)
{
    return __atomic_load_n(&is_set, __ATOMIC_RELAXED);
}

/* There when the program or a library is built with a sanitizer. */
extern char __asan_init __attribute__((weak, visibility("default")));
extern char __tsan_init __attribute__((weak, visibility("default")));
extern char __msan_init __attribute__((weak, visibility("default")));

bool malloc_is_sanitized(void)
{
    return &__asan_init || &__tsan_init || &__msan_init;
}

/* A sanitizer's library stands in front of __libc_memalign, alone of the names that the linker has found for us. */
static void pass_sanitized(void)
{
    void *memalign_of_libc = dlvsym(RTLD_NEXT, "memalign", LIBC_VERSION);

    if (memalign_of_libc)
        *(void **)&malloc_next.memalign = memalign_of_libc;
    malloc_passes = true;
}

bool malloc_is_passed(void)
{
    if (unlikely(!malloc_is_set()) && !malloc_passes && malloc_is_sanitized())
        pass_sanitized();
    return malloc_passes;
}

void malloc_settings_once(void)
{
    arena_t *first;

    if (__atomic_exchange_n(&is_set, true, __ATOMIC_RELAXED))
        return;
    je_free_default(je_malloc_default(1));
    fork_watch();
    /* As in glibc every object is aligned to 16 bytes: the class of 8 is not used. */
    sz_size2index_tab[0] = sz_size2index_tab[1] = sz_size2index_tab[2];
    kept_first = sz_size2index(SC_LARGE_MINCLASS);
    /* The option does not reach the first arena, which is made before it is read. */
    first = arena_get(TSDN_NULL, 0, false);
    if (first)
        atomic_store_zu(&first->pa_shard.pac.oversize_threshold, SC_LARGE_MAXCLASS, ATOMIC_RELAXED);
}

/* ---- host blocks ----------------------------------------------------------------------------------------- */

NO_INLINE uint64_t malloc_abandon(void *memory, size_t bytes)
{
    uint64_t absent_bytes;
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    absent_bytes = host_block_abandon(memory, bytes);
    cancel_guard_leave(&guard);
    return absent_bytes;
}

/* An object that cannot be a block stays in memory, like any other. */
NO_INLINE void *malloc_adopt(void *memory, size_t bytes)
{
    struct cancel_guard guard;

    if (!memory)
        return NULL;
    cancel_guard_enter(&guard);
    (void)host_block_adopt(memory, bytes);
    cancel_guard_leave(&guard);
    return memory;
}

/* ---- kept objects ---------------------------------------------------------------------------------------- */

void *malloc_from_kept(size_t bytes)
{
    struct malloc_thread *thread = malloc_thread();
    unsigned class;
    void *memory;

    if (bytes <= SC_SMALL_MAXCLASS || bytes > SC_LARGE_MAXCLASS)
        return NULL;
    class = sz_size2index(bytes) - kept_first;
    if (class >= KEEP_CLASSES)
        return NULL;
    bytes = sz_index2size(class + kept_first);
    memory = keep_take(&thread->kept, class, bytes);
    if (memory)
        heap_unkeep(&thread->account, bytes);
    return memory;
}

void malloc_empty_kept(void)
{
    struct malloc_thread *thread = malloc_thread();

    for (unsigned class = 0; class < KEEP_CLASSES; class ++) {
        uint64_t bytes = sz_index2size(class + kept_first);
        void *memory;

        while ((memory = keep_take(&thread->kept, class, bytes))) {
            heap_unkeep(&thread->account, bytes);
            je_free_default(memory);
        }
    }
}

/* Without malloc_begin, for it is one more call. */
static inline void *keep_for(size_t bytes)
{
    struct malloc_thread *thread = malloc_thread();
    unsigned class = sz_size2index_compute(bytes) - kept_first;
    void *memory = NULL;

    if (!malloc_has_thread() || class >= KEEP_CLASSES || !thread->kept.count[class])
        return NULL;
    bytes = sz_index2size_lookup_impl(class + kept_first);
    heap_enter(&thread->account);
    if (thread->account.counters->allocated + bytes <= thread->account.limit &&
        (memory = keep_take(&thread->kept, class, bytes)))
        heap_unkeep(&thread->account, bytes);
    heap_exit(&thread->account);
    return malloc_adopted(memory, bytes);
}

/* To jemalloc. `absent_bytes` of it are not in the ledger. */
static void free_object(void *memory, uint64_t absent_bytes)
{
    struct heap_account *account;
    int error = errno;

    account = malloc_begin();
    heap_forgo(account, absent_bytes);
    je_free_default(memory);
    malloc_end(account, true);
    errno = error;
}

/* Kept, if there is room for it. */
static inline bool keep(void *memory, unsigned class, uint64_t bytes, uint64_t absent_bytes)
{
    struct malloc_thread *thread = malloc_thread();
    bool is_kept;

    class -= kept_first;
    if (class >= KEEP_CLASSES || !malloc_has_thread() || malloc_passes)
        return false;
    heap_enter(&thread->account);
    is_kept = keep_put(&thread->kept, class, bytes, memory);
    if (is_kept) {
        heap_forgo(&thread->account, absent_bytes);
        heap_keep(&thread->account, bytes);
    }
    heap_exit(&thread->account);
    return is_kept;
}

/* Host blocks may begin in it. */
static NO_INLINE void free_held(void *memory, unsigned class, uint64_t bytes)
{
    uint64_t absent_bytes = malloc_abandon(memory, bytes);

    if (!keep(memory, class, bytes, absent_bytes))
        free_object(memory, absent_bytes);
}

void free_large(void *memory, unsigned class)
{
    uint64_t bytes = sz_index2size_lookup_impl(class);

    /* The map says nothing of memory that is not ours, which reads as the smallest class. */
    if (class < SC_NBINS)
        free_rest(memory);
    else if (malloc_may_hold_blocks(bytes))
        free_held(memory, class, bytes);
    else if (!keep(memory, class, bytes, 0))
        free_object(memory, 0);
}

/* ---- slow paths ------------------------------------------------------------------------------------------ */

/* A short thread asks for little at a time; jemalloc asks for more where more is used. */
static void fill_little(tsd_t *tsd)
{
    uint8_t *lg_fill_div = tsd_tcache_slowp_get(tsd)->lg_fill_div;

    for (szind_t class = 0; class < SC_NBINS; class ++)
        while (cache_bin_info_ncached_max(&tcache_bin_info[class]) >> lg_fill_div[class] > FILL_MOST)
            lg_fill_div[class]++;
}

static void begin_cache(struct heap_account *account)
{
    tsd_t *tsd = tsd_fetch();

    if (tcache_enabled_get(tsd))
        return;
    malloc_thread()->earned_bytes += CALL_BYTES;
    if (account->counters->allocated + malloc_thread()->earned_bytes >= CACHE_FROM_BYTES &&
        tsd_nominal(tsd) && !malloc_thread_ended()) {
        hold_arena(tsd);
        tcache_enabled_set(tsd, true);
        fill_little(tsd);
        malloc_without_peaks(tsd);
    }
}

/* As jemalloc's fast path, for the small classes that its table does not have: 5 to 14 KiB. */
static inline void *bin_for(size_t bytes)
{
    tsd_t *tsd = tsd_get(false);
    szind_t class = sz_size2index_compute(bytes);
    cache_bin_t *bin = &tsd_tcachep_get(tsd)->bins[class];
    uint64_t allocated, slow_at;
    bool is_there;
    void *memory;

    te_malloc_fastpath_ctx(tsd, &allocated, &slow_at);
    allocated += sz_index2size_lookup_impl(class);
    if (unlikely(allocated >= slow_at))
        return NULL;
    memory = cache_bin_alloc(bin, &is_there);
    if (unlikely(!is_there))
        return NULL;
    fastpath_success_finish(tsd, allocated, bin, memory);
    return memory;
}

static NO_INLINE void *allocate(size_t bytes)
{
    struct heap_account *account;
    size_t class_bytes;
    void *memory = NULL;
    bool purged = false;

    if (malloc_is_passed())
        return malloc_next.malloc(bytes);
    account = malloc_begin(); /* at the first call of all, the sizes of classes come with it */
    class_bytes = malloc_class_bytes(bytes);
    if (class_bytes && heap_take(account, class_bytes)) {
        memory = malloc_from_kept(bytes);
        if (!memory)
            begin_cache(account);
        while (!memory && !(memory = je_malloc_default(bytes)) && malloc_purge(&purged))
            ;
    }
    malloc_end(account, false);
    if (!memory)
        errno = ENOMEM;
    return malloc_adopted(memory, class_bytes);
}

/* The small classes of a jemalloc for pages of 64 KiB reach to 224 KiB; above this they are more than a recall allows a
 * fast path to add. */
#define BIN_MOST_BYTES                                                                                       \
    (SC_SMALL_MAXCLASS < HEAP_FAST_MOST_BYTES ? SC_SMALL_MAXCLASS : (size_t)HEAP_FAST_MOST_BYTES)

void *malloc_rest(size_t bytes)
{
    void *memory;

    if (bytes <= SC_LOOKUP_MAXCLASS)
        return allocate(bytes);
    memory = bytes <= BIN_MOST_BYTES ? bin_for(bytes) : keep_for(bytes);
    return memory ? memory : allocate(bytes);
}

void malloc_purge_arenas(void)
{
    size_t mib[3], length = 3;

    if (je_mallctlnametomib("arena.4096.purge", mib, &length) == 0) /* MALLCTL_ARENAS_ALL */
        je_mallctlbymib(mib, length, NULL, NULL, NULL, 0);
}

bool malloc_purge(bool *done)
{
    if (*done)
        return false;
    *done = true;
    malloc_empty_kept();
    je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    malloc_end_parked();
    malloc_purge_arenas();
    return true;
}

size_t malloc_size(const void *memory)
{
    emap_full_alloc_ctx_t found;

    /* The template's own cache of the map must not be written to. */
    if (emap_full_alloc_ctx_try_lookup(malloc_tsd == &tsd_tls ? NULL : tsd_tsdn(malloc_tsd),
                                       &arena_emap_global, memory, &found) ||
        !found.edata)
        return 0;
    return sz_index2size(found.szind);
}

void free_rest(void *memory)
{
    size_t bytes;

    if (!memory)
        return;
    bytes = malloc_size(memory);
    if (!bytes && malloc_passes)
        malloc_next.free(memory);
    else if (!bytes)
        __libc_free(memory);
    else
        free_object(memory, malloc_may_hold_blocks(bytes) ? malloc_abandon(memory, bytes) : 0);
}

size_t malloc_other_size(void *memory)
{
    static size_t (*size)(void *memory);

    if (malloc_passes && malloc_next.usable_size)
        return malloc_next.usable_size(memory);
    if (!size)
        *(void **)&size = dlvsym(RTLD_NEXT, "malloc_usable_size", LIBC_VERSION);
    return size ? size(memory) : 0;
}
