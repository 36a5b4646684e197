/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every function of the library in a thread that is to be cancelled: what is no point of cancellation without it is
 * none with it. The thread holds a lock of the program's own, comes through with errno, signal mask and the state of
 * cancellation as they were, lets go of the lock, and ends at the next point of its own.
 *
 * Suites    heap, cacheable: the malloc family, where the budget is full and where large objects go to disk. rows: every
 *           row of the hook table, with arguments of zero, on a driver each entry of which is such a point. device: ways
 *           that lead far into the library. loader: before a driver is there.
 */
#include "world.h"

#include <ebbtide.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES (24 * MIB)

TestSuite(heap, .timeout = 60);
TestSuite(cacheable, .timeout = 60);
TestSuite(rows, .timeout = 120);
TestSuite(device, .timeout = 60);
TestSuite(loader, .timeout = 60);

/* ---- a thread that is to be cancelled -------------------------------------------------------------------------- */

static pthread_mutex_t programs_lock = PTHREAD_MUTEX_INITIALIZER;

struct walk {
    void (*call)(void);
    CUcontext context; /* of the thread, if any */
    int error;         /* errno before the call, and afterwards, or ENOMEM */
    bool is_called, is_cancelled, came_through, keeps_error, keeps_cancellation, keeps_signals;
};

static bool is_same_set(const sigset_t *a, const sigset_t *b)
{
    for (int number = 1; number < NSIG; number++)
        if (sigismember(a, number) != sigismember(b, number))
            return false;
    return true;
}

static void *walker(void *arg)
{
    struct walk *walk = arg;
    sigset_t before, after;
    int state, type;

    if (walk->context)
        cuCtxSetCurrent(walk->context);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    pthread_mutex_lock(&programs_lock);
    __atomic_store_n(&walk->is_called, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&walk->is_cancelled, __ATOMIC_ACQUIRE))
        ;
    errno = walk->error;
    walk->call();
    walk->keeps_error = errno == walk->error || errno == ENOMEM;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    walk->keeps_cancellation = state == PTHREAD_CANCEL_ENABLE && type == PTHREAD_CANCEL_DEFERRED;
    walk->keeps_signals = is_same_set(&before, &after);
    walk->came_through = true;
    pthread_mutex_unlock(&programs_lock);
    pthread_setcancelstate(state, NULL);
    pthread_testcancel();
    return NULL;
}

static struct walk walk(void (*call)(void), CUcontext context)
{
    struct walk walk = {.call = call, .context = context, .error = EXDEV};
    pthread_t thread;
    void *end;

    cr_assert_eq(pthread_create(&thread, NULL, walker, &walk), 0);
    while (!__atomic_load_n(&walk.is_called, __ATOMIC_ACQUIRE))
        ;
    pthread_cancel(thread);
    __atomic_store_n(&walk.is_cancelled, true, __ATOMIC_RELEASE);
    cr_assert_eq(pthread_join(thread, &end), 0);
    cr_expect_eq(end, PTHREAD_CANCELED);
    return walk;
}

static void expect_through(void (*call)(void), CUcontext context, const char *what)
{
    struct walk done = walk(call, context);

    cr_assert(done.came_through, "%s is a point of cancellation", what);
    cr_expect(done.keeps_error, "%s changes errno", what);
    cr_expect(done.keeps_cancellation, "%s changes the state of cancellation", what);
    cr_expect(done.keeps_signals, "%s changes the signal mask", what);
}

/* ---- the malloc family ------------------------------------------------------------------------------------------ */

/* jemalloc's own names, and one that glibc has only for what was linked long ago. */
#define ONLY_HERE __attribute__((weak))
void cfree(void *memory) ONLY_HERE;
void *mallocx(size_t bytes, int flags) ONLY_HERE;
void *rallocx(void *memory, size_t bytes, int flags) ONLY_HERE;
size_t xallocx(void *memory, size_t bytes, size_t extra, int flags) ONLY_HERE;
size_t sallocx(const void *memory, int flags) ONLY_HERE;
size_t nallocx(size_t bytes, int flags) ONLY_HERE;
void dallocx(void *memory, int flags) ONLY_HERE;
void sdallocx(void *memory, size_t bytes, int flags) ONLY_HERE;
int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes) ONLY_HERE;
int mallctlnametomib(const char *name, size_t *mib, size_t *length) ONLY_HERE;
int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_bytes, void *new,
                 size_t new_bytes) ONLY_HERE;
void malloc_stats_print(void (*write)(void *, const char *), void *arg, const char *options) ONLY_HERE;

static void *object;
static size_t mib[3];

static void swallow(void *arg, const char *text)
{
    (void)arg, (void)text;
}

/* mallinfo is still served. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void *grown(void *before, void *now)
{
    return now ? now : before;
}

#define HEAP(name, ...)                                                                                      \
    static void heap_##name(void)                                                                            \
    {                                                                                                        \
        __VA_ARGS__;                                                                                         \
    }
#include "cancellation.def"

static const struct {
    const char *name;
    void (*call)(void);
} heap_calls[] = {
#define HEAP(name, ...) {#name, heap_##name},
#include "cancellation.def"
};

/* The budget is of 64 MiB: BYTES do not fit beside it. */
#define FILLING (48 * MIB)

Test(heap, every_function_lets_a_thread_come_through_that_is_to_be_cancelled)
{
    size_t length = 3;
    void *filling;

    cr_assert_eq(mallctlnametomib("arena.0.purge", mib, &length), 0);
    for (unsigned i = 0; i < sizeof heap_calls / sizeof *heap_calls; i++) {
        object = malloc(MIB);
        filling = malloc(FILLING);
        cr_assert(object && filling);
        expect_through(heap_calls[i].call, NULL, heap_calls[i].name);
        free(filling);
        free(object);
    }
}

/* The objects of one thread are blocks, which the next one's send to disk. */
Test(cacheable, every_function_lets_a_thread_come_through_that_is_to_be_cancelled)
{
    size_t length = 3;

    cr_assert_eq(mallctlnametomib("arena.0.purge", mib, &length), 0);
    for (unsigned i = 0; i < sizeof heap_calls / sizeof *heap_calls; i++) {
        char *others = malloc(BYTES);

        cr_assert(others);
        memset(others, 1, BYTES);
        object = malloc(BYTES);
        if (!object)
            cr_skip("faults of the kernel are not handed to this user");
        memset(object, 2, BYTES);
        memset(others, 3, BYTES);
        expect_through(heap_calls[i].call, NULL, heap_calls[i].name);
        free(others);
        free(object);
    }
}

static pid_t child;

static void call_fork(void)
{
    child = fork();
    if (!child)
        _exit(7);
}

static void expect_seven(void)
{
    int status;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%x", status);
}

/* Some of the heap is on disk, and the child is waited for until it has read that. */
Test(cacheable, fork_is_no_point_of_cancellation)
{
    char *blocks[4];

    for (unsigned i = 0; i < 4; i++) {
        blocks[i] = malloc(BYTES);
        if (!blocks[i])
            cr_skip("faults of the kernel are not handed to this user");
        memset(blocks[i], 1, BYTES);
    }
    expect_through(call_fork, NULL, "fork");
    expect_seven();
}

/* ---- the hook table --------------------------------------------------------------------------------------------- */

/* Every argument of any function, on the stack too. */
typedef long any(long, long, long, long, long, long, long, long, long, long, long, long, long, long, long,
                 long, long, long, long, long, long, long, long, long);

static any *row;

static void call_row(void)
{
    row(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

static const struct {
    const char *name, *class;
} rows[] = {
#define ROW(library, class, result, name, body, parameters, arguments) {#name, #class},
#include "hook/hook_table.def"
};

static bool driver_cancels(void)
{
    const char *set = getenv("SIMGPU_CANCEL");

    return set && *set == '1';
}

Test(rows, let_a_thread_come_through_that_is_to_be_cancelled)
{
    cr_assert(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_GLOBAL));
    cr_assert(dlopen("libcudart.so.13", RTLD_NOW | RTLD_GLOBAL));
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world now;

        /* What the driver itself does in a launch is not ours; the runtime calls it in between. */
        if (driver_cancels() && (strcmp(rows[i].class, "use") == 0 || strcmp(rows[i].class, "mark") == 0))
            continue;
        now = world_make();
        *(void **)&row = dlsym(RTLD_DEFAULT, rows[i].name);
        if (row) /* not in every driver */
            expect_through(call_row, now.context, rows[i].name);
    }
}

/* ---- far into the library --------------------------------------------------------------------------------------- */

/* The budget is of 48 MiB. */
#define BLOCKS 8

static CUdeviceptr block[BLOCKS], more[BLOCKS];
static struct world world;
static ebb_reservation reserved;
static void *away, *other;

static int never(void *at, size_t offset, void *memory, size_t bytes, void *arg)
{
    (void)at, (void)offset, (void)memory, (void)bytes, (void)arg;
    return -1;
}

/* The first are no longer on the device. */
static void allocate(CUdeviceptr *out)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&out[i], 8 * MIB));
        OK(cuMemsetD32(out[i], bits_of((float)i), 2 * MIB));
    }
}

static void call_allocate(void)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        cuMemAlloc(&more[i], 8 * MIB);
}

Test(device, an_allocation_that_must_make_room_is_no_point_of_cancellation)
{
    world = world_make();
    allocate(block);
    expect_through(call_allocate, world.context, "cuMemAlloc");
    cr_expect(all_are(block[3], 2 * MIB, 3));
    cr_expect(more[BLOCKS - 1]);
}

static void call_launch(void)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        world_add(&world, block[i], block[BLOCKS - 1 - i], 1, NULL);
}

/* Kernels take a while (SIMGPU_KERNEL_NS), and what they use is waited for before it leaves. */
Test(device, a_launch_that_waits_is_no_point_of_cancellation)
{
    if (driver_cancels())
        cr_skip("the driver's own launch is one");
    world = world_make();
    allocate(block);
    expect_through(call_launch, world.context, "cuLaunchKernel");
    OK(cuCtxSynchronize());
    cr_expect(all_are(block[3] + 4, 1, 3));
}

static void call_copy(void)
{
    static float from[1024];

    for (unsigned i = 0; i < BLOCKS; i++)
        cuMemcpyHtoD(block[i], from, sizeof from);
}

Test(device, a_copy_that_waits_is_no_point_of_cancellation)
{
    if (driver_cancels())
        cr_skip("the driver's own copy is one");
    world = world_make();
    allocate(block);
    expect_through(call_copy, world.context, "cuMemcpyHtoD");
    cr_expect(all_are(block[3], 1024, 0));
}

#define API(name, ...)                                                                                       \
    static void api_##name(void)                                                                             \
    {                                                                                                        \
        __VA_ARGS__;                                                                                         \
    }
#include "cancellation.def"

static const struct {
    const char *name;
    void (*call)(void);
} api_calls[] = {
#define API(name, ...) {#name, api_##name},
#include "cancellation.def"
};

Test(device, every_function_of_the_api_lets_a_thread_come_through_that_is_to_be_cancelled)
{
    world = world_make();
    for (unsigned i = 0; i < sizeof api_calls / sizeof *api_calls; i++) {
        allocate(block);
        away = (void *)(uintptr_t)block[0];
        other = (void *)(uintptr_t)block[1];
        cr_assert_eq(ebb_register(away, 8 * MIB, 0, "away"), 0);
        cr_assert_geq(ebb_evict(away, 0, EBB_TIER_DISK), 0);
        expect_through(api_calls[i].call, world.context, api_calls[i].name);
        for (unsigned b = 0; b < BLOCKS; b++)
            OK(cuMemFree(block[b]));
    }
}

/* ---- before there is a driver ----------------------------------------------------------------------------------- */

static void call_dlsym(void)
{
    (void)dlsym(RTLD_DEFAULT, "cuInit");
}

static void call_dlopen(void)
{
    (void)dlopen("plugin_scope.so", RTLD_NOW | RTLD_DEEPBIND);
}

static void call_dlmopen(void)
{
    (void)dlmopen(LM_ID_BASE, "plugin_scope.so", RTLD_NOW | RTLD_DEEPBIND);
}

static void call_atfork(void)
{
    (void)pthread_atfork(NULL, NULL, NULL);
}

Test(loader, the_functions_of_the_loader_are_no_points_of_cancellation)
{
    expect_through(call_dlsym, NULL, "dlsym");
    expect_through(call_dlopen, NULL, "dlopen");
    expect_through(call_dlmopen, NULL, "dlmopen");
    expect_through(call_atfork, NULL, "pthread_atfork");
}

static void call_exit(void)
{
    exit(7);
}

/* With statistics that cannot be written, which is told. */
Test(loader, exit_is_no_point_of_cancellation)
{
    child = fork();
    if (!child) {
        walk(call_exit, NULL);
        _exit(1);
    }
    expect_seven();
}
