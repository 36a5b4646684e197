/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tsd_tls.h - where jemalloc finds the data of the calling thread; stands in for its own file of this name.
 *
 * Its own keeps 2.6 KiB in static thread-local storage. Of that a process has about 1.5 KiB left for libraries that come
 * after the program (also for us, where LD_AUDIT is set) and those who find none do not start. Here it is a pointer,
 * to memory that malloc_thread.c hands out and takes back at the end of the thread; before a thread's first call, to
 * the template, whose limits of 0 send every fast path to its fallback.
 */
#ifdef JEMALLOC_INTERNAL_TSD_TLS_H
#error This file should be included only once, by tsd.h.
#endif
#define JEMALLOC_INTERNAL_TSD_TLS_H

/* tsd.c defines tsd_tls with it: the template. */
#define JEMALLOC_TSD_TYPE_ATTR(type) type

extern tsd_t tsd_tls;
extern pthread_key_t tsd_tsd;
extern bool tsd_booted;

extern __thread tsd_t *malloc_tsd __attribute__((tls_model("initial-exec"), visibility("hidden")));
__attribute__((visibility("hidden"))) tsd_t *malloc_tsd_make(void);

JEMALLOC_ALWAYS_INLINE bool tsd_boot0(void)
{
    tsd_booted = true;
    return false;
}

JEMALLOC_ALWAYS_INLINE void tsd_boot1(void) {}

JEMALLOC_ALWAYS_INLINE bool tsd_boot(void)
{
    return tsd_boot0();
}

JEMALLOC_ALWAYS_INLINE bool tsd_booted_get(void)
{
    return tsd_booted;
}

JEMALLOC_ALWAYS_INLINE bool tsd_get_allocates(void)
{
    return false;
}

/* jemalloc itself writes to what it gets; our fast paths only read, and take the template too. */
JEMALLOC_ALWAYS_INLINE tsd_t *tsd_get(bool init)
{
    tsd_t *tsd = malloc_tsd;

#ifdef MALLOC_FAST_PATHS
    if (!init)
        return tsd;
#endif
    (void)init;
    return unlikely(tsd == &tsd_tls) ? malloc_tsd_make() : tsd;
}

/* The end of a thread is malloc_thread.c's affair. */
JEMALLOC_ALWAYS_INLINE void tsd_set(tsd_t *val)
{
    (void)val;
}
