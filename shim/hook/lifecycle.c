/* SPDX-License-Identifier: Apache-2.0 */
/* lifecycle.c - see lifecycle.h. */
#include "hook/lifecycle.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/stats.h"
#include "base/cancel_guard.h"
#include "base/compiler.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/options.h"
#include "base/output.h"
#include "cuda/device_cuda.h"
#include "cuda/ipc_server.h"
#include "cuda/pools.h"
#include "engine/core.h"
#include "heap/heap.h"
#include "hook/hooks.h"
#include "hook/self_test.h"
#include "hook/unhooked.h"
#include "host/host_block.h"

bool lifecycle_manages;

static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static bool is_forked; /* from a process that had started: the driver does not serve us here */
static bool has_started;
static bool is_reduced;

static void start_managing(void)
{
    const struct options *options = options_of_process();
    struct device *device;

    if (options->disable || is_forked)
        return;
    real_complete();
    int error = device_cuda_init(options, &device);

    if (error == -ENOTSUP && options_have_blocks(options)) {
        log_line(LOG_WARN, "memory is accounted and nothing is moved: this driver has no %s",
                 options->allocator == ALLOCATOR_MANAGED
                     ? "managed memory whose pages move while they are in use"
                     : "virtual memory management (EBBTIDE_ALLOCATOR=managed moves managed memory instead)");
        options_account_only();
        is_reduced = true;
        error = device_cuda_init(options, &device);
    }
    if (!error)
        error = core_start(options, device);
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
    pthread_once(&start_once, start);
}

/* ---- fork ------------------------------------------------------------------------------------------------- */

static void forget_devices(void)
{
    if (core_host_active()) {
        is_forked = has_started;
        lifecycle_manages = false;
    }
}

FORK_HANDLERS(.turn = FORK_HOOK, .child = forget_devices);

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
        fork_watch();
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
    if (host_fork_told()) {
        child = bare_fork();
        if (child > 0)
            host_fork_settle();
        return child;
    }
    host_fork_prepare();
    child = bare_fork();
    if (child)
        host_fork_parent();
    else
        host_fork_child();
    return child;
}

__attribute__((constructor)) static void load(void)
{
    const struct options *options = options_of_process();

    find_bare_fork();
    if (malloc_start)
        malloc_start(options);
    if (!fork_watch())
        log_line(
            LOG_WARN,
            "no room for a fork handler: forked children must not allocate or use CUDA or registered memory");
}

static void report(void)
{
    const struct options *options = options_of_process();
    const char *unhooked[UNHOOKED_MAX];
    unsigned count = 0;

    for (; count < UNHOOKED_MAX && unhooked_name(count); count++)
        unhooked[count] = unhooked_name(count);
    int error = options->stats_json_path[0] ? stats_write_json(options->stats_json_path, unhooked, count) : 0;

    if (error)
        log_line(LOG_WARN, "cannot write statistics to %s: %s (EBBTIDE_STATS_JSON)", options->stats_json_path,
                 strerrordesc_np(-error));
    stats_say_forecasts();
    if (options->stats)
        stats_write_table(output_error());
    stats_end();
}

__attribute__((destructor)) static void unload(void)
{
    struct cancel_guard guard;

    if (is_forked || options_of_process()->disable)
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
