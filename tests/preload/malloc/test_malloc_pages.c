/* SPDX-License-Identifier: Apache-2.0 */
/* Pages: what the heap gives back to the system before it fails for want of them. */
#include <criterion/criterion.h>

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB    ((size_t)1 << 20)
#define BLOCKS 24

void *mallocx(size_t bytes, int flags) __attribute__((weak));

/* ---- the system refuses ---------------------------------------------------------------------------------- */

static size_t mapped_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    cr_assert(file && fscanf(file, "%zu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Free memory that lies side by side, but in the hands of this thread's caches. The system has no more. */
static void keep_and_forbid(void)
{
    struct rlimit limit;
    void *block[BLOCKS];

    free(malloc(BLOCKS * MIB));
    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert(block[i] = malloc(MIB));
    for (unsigned i = 0; i < BLOCKS; i++)
        free(block[i]);
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = mapped_bytes();
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

static void allow(void)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* As much as is free only together, and more than the system gives. */
#define TOGETHER ((BLOCKS - 4) * MIB)

static void *by_malloc(void)
{
    return malloc(TOGETHER);
}

static void *by_calloc(void)
{
    return calloc(TOGETHER, 1);
}

static void *by_realloc(void)
{
    return realloc(malloc(100), TOGETHER);
}

static void *by_memalign(void)
{
    return memalign(64, TOGETHER);
}

static void *by_mallocx(void)
{
    return mallocx ? mallocx(TOGETHER, 0) : NULL;
}

static void expect_given_back_first(void *(*allocate)(void))
{
    void *memory, *beyond;

    keep_and_forbid();
    beyond = mmap(NULL, TOGETHER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory = allocate();
    allow();
    cr_assert_eq(beyond, MAP_FAILED, "the system had some all the same");
    cr_expect(memory);
    free(memory);
}

#define FORM(form)                                                                                           \
    Test(pages, that_caches_keep_are_given_back_before_the_systems_refusal_is_passed_on_by_##form)           \
    {                                                                                                        \
        expect_given_back_first(by_##form);                                                                  \
    }
FORM(malloc)
FORM(calloc)
FORM(realloc)
FORM(memalign)
FORM(mallocx)

Test(pages, that_nobody_has_are_refused_with_ENOMEM)
{
    void *memory;
    int error;

    keep_and_forbid();
    errno = 0;
    memory = malloc(100 * MIB);
    error = errno;
    allow();
    cr_expect_null(memory);
    cr_expect_eq(error, ENOMEM);
}
