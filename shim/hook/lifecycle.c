/* SPDX-License-Identifier: Apache-2.0 */
/* lifecycle.c - see lifecycle.h. */
#include "hook/lifecycle.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/stats.h"
#include "base/cancel_guard.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/output.h"
#include "cuda/device_cuda.h"
#include "cuda/ipc.h"
#include "cuda/pools.h"
#include "engine/core.h"
#include "heap/malloc.h"
#include "hook/hooks.h"
#include "hook/self_test.h"
#include "hook/unhooked.h"
#include "host/host_block.h"

#define EXPORT __attribute__((visibility("default")))

enum load_state {
    NOT_LOADED,
    LOADING,
    LOADED
};

bool lifecycle_manages;

static struct options options;
static int load_state; /* enum load_state */
static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static bool is_forked; /* from a process that had started: the driver does not serve us here */
static bool has_started;
static bool is_reduced;

static void complain(const struct options_complaint *complaint, void *arg)
{
    char text[OPTIONS_TEXT_BYTES];

    (void)arg;
    options_describe(complaint, text, sizeof(text));
    log_line(LOG_WARN, "%s; the default is used", text);
}

/* Not by getcwd, which may allocate. */
static void make_absolute(void)
{
    char folder[OPTIONS_PATH_BYTES];

    if (syscall(SYS_getcwd, folder, sizeof(folder)) > 0 && *folder == '/')
        options_make_absolute(&options, folder);
}

static void load_options(void)
{
    /* Whoever runs a privileged program may not steer what it writes and where. */
    const char *const *environment = getauxval(AT_SECURE) ? NULL : (const char *const *)environ;

    int faults = options_parse(&options, environment, NULL, NULL); /* in silence: the log is not open yet */

    make_absolute();
    int error = log_init((enum log_level)options.log_level, options.log_path);

    if (error)
        log_line(LOG_WARN, "cannot open %s: %s; logging to standard error (EBBTIDE_LOG_FILE)",
                 options.log_path, strerrordesc_np(-error));
    if (faults) {
        options_parse(&options, environment, complain, NULL);
        make_absolute();
    }
}

const struct options *lifecycle_options(void)
{
    if (__builtin_expect(__atomic_load_n(&load_state, __ATOMIC_ACQUIRE) == LOADED, 1))
        return &options;
    static const struct lock_tag loading = LOCK_TAG(LOCK_LOAD);
    int expected = NOT_LOADED;

    lock_order(&loading);
    lock_hold(&loading);
    if (__atomic_compare_exchange_n(&load_state, &expected, LOADING, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
        load_options();
        __atomic_store_n(&load_state, LOADED, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(&load_state, __ATOMIC_ACQUIRE) != LOADED)
        sched_yield();
    lock_let_go(&loading);
    return &options;
}

void lifecycle_host_start(void)
{
    const struct options *wanted = lifecycle_options();
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (!wanted->disable)
        core_host_start(wanted);
    cancel_guard_leave(&guard);
}

static void start_managing(void)
{
    struct device *device;

    if (options.disable || is_forked)
        return;
    real_complete();
    int error = device_cuda_init(&options, &device);

    if (error == -ENOTSUP && options_have_blocks(&options)) {
        log_line(LOG_WARN, "memory is accounted and nothing is moved: this driver has no %s",
                 options.allocator == ALLOCATOR_MANAGED
                     ? "managed memory whose pages move while they are in use"
                     : "virtual memory management (EBBTIDE_ALLOCATOR=managed moves managed memory instead)");
        options.allocator = ALLOCATOR_NATIVE;
        is_reduced = true;
        error = device_cuda_init(&options, &device);
    }
    if (!error)
        error = core_start(&options, device);
    if (error) {
        log_line(LOG_WARN, "cannot manage the devices of this process: %s; everything is passed through",
                 strerrordesc_np(-error));
        return;
    }
    self_test_start();
    has_started = true;
    __atomic_store_n(&lifecycle_manages, true, __ATOMIC_RELEASE);
}

static void start(void)
{
    static const struct lock_tag once = LOCK_TAG(LOCK_ONCE);

    lock_order(&once);
    lock_hold(&once);
    start_managing();
    lock_let_go(&once);
}

bool lifecycle_is_reduced(void)
{
    return is_reduced;
}

void lifecycle_cuda_started(void)
{
    lifecycle_options();
    pthread_once(&start_once, start);
}

/* ---- fork ------------------------------------------------------------------------------------------------- */

static bool has_fork_handlers;

static void fork_begin(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    host_block_fork_prepare();
    if (malloc_fork_begin)
        malloc_fork_begin();
    cancel_guard_leave(&guard);
}

static void fork_parent(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (malloc_fork_parent)
        malloc_fork_parent();
    host_block_fork_parent();
    cancel_guard_leave(&guard);
}

static void fork_child(void)
{
    struct cancel_guard guard;

    cancel_guard_enter(&guard);
    if (malloc_fork_child)
        malloc_fork_child();
    host_block_fork_child();
    if (core_host_active()) {
        is_forked = has_started;
        lifecycle_manages = false;
        ipc_forked();
        core_forked();
    }
    cancel_guard_leave(&guard);
}

void lifecycle_watch_forks(void)
{
    static bool is_done;

    if (!__atomic_exchange_n(&is_done, true, __ATOMIC_RELAXED))
        has_fork_handlers = pthread_atfork(fork_begin, fork_parent, fork_child) == 0;
}

/* libc's, which pthread_atfork calls: whoever registers handlers before anybody has allocated would have older ones
 * than we have, and they would run while malloc and registered memory are locked. Versions: glibc's ABI lists of both
 * machines. */
#if defined(__x86_64__)
#define REGISTER_VERSION "GLIBC_2.3.2"
#else
#define REGISTER_VERSION "GLIBC_2.17"
#endif

EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object);
EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object)
{
    int (*libc)(void (*)(void), void (*)(void), void (*)(void), void *);

    if (malloc_first)
        malloc_first(); /* which watches them behind its own */
    else
        lifecycle_watch_forks();
    *(void **)&libc = dlvsym(RTLD_NEXT, "__register_atfork", REGISTER_VERSION);
    return libc ? libc(prepare, parent, child, object) : ENOMEM;
}

/* The fork that runs no handlers (glibc 2.34 on), and may be called in those of signals. */
static pid_t (*bare_fork)(void);

static void find_bare_fork(void)
{
    *(void **)&bare_fork = dlvsym(RTLD_NEXT, "_Fork", "GLIBC_2.34");
}

EXPORT pid_t _Fork(void)
{
    bool away = host_block_any() && host_block_away();
    pid_t child;

    if (!bare_fork)
        find_bare_fork();
    if (!bare_fork) {
        errno = ENOSYS;
        return -1;
    }
    if (!away)
        return bare_fork();
    if (host_block_fork_told()) {
        child = bare_fork();
        if (child > 0)
            host_block_fork_settle();
        return child;
    }
    host_block_fork_prepare();
    child = bare_fork();
    if (child)
        host_block_fork_parent();
    else
        host_block_fork_child();
    return child;
}

__attribute__((constructor)) static void load(void)
{
    lifecycle_options();
    find_bare_fork();
    if (malloc_start)
        malloc_start(&options);
    lifecycle_watch_forks();
    if (!has_fork_handlers)
        log_line(
            LOG_WARN,
            "no room for a fork handler: forked children must not allocate or use CUDA or registered memory");
}

static void report(void)
{
    const char *unhooked[UNHOOKED_MAX];
    unsigned count = 0;

    for (; count < UNHOOKED_MAX && unhooked_name(count); count++)
        unhooked[count] = unhooked_name(count);
    int error = options.stats_json_path[0] ? stats_write_json(options.stats_json_path, unhooked, count) : 0;

    if (error)
        log_line(LOG_WARN, "cannot write statistics to %s: %s (EBBTIDE_STATS_JSON)", options.stats_json_path,
                 strerrordesc_np(-error));
    if (options.stats)
        stats_write_table(output_error());
}

__attribute__((destructor)) static void unload(void)
{
    struct cancel_guard guard;

    if (is_forked || options.disable)
        return;
    cancel_guard_enter(&guard);
    core_leave();
    __atomic_store_n(&lifecycle_manages, false, __ATOMIC_RELEASE);
    ipc_stop();
    if (ipc_was_in_vain())
        log_line(LOG_WARN,
                 "blocks were exported with cuIpcGetMemHandle and never opened: a process without this "
                 "library cannot open them; EBBTIDE_MIN_BLOCK above their size leaves them to the driver");
    self_test_finish();
    pools_settle();
    core_settle();
    report();
    core_finish();
    log_finish();
    cancel_guard_leave(&guard);
}
