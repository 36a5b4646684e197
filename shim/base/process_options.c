/* SPDX-License-Identifier: Apache-2.0 */
/* process_options.c - the options of this process, read when they are first asked for. See options.h. */
#include "base/options.h"

#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"

enum load_state {
    NOT_LOADED,
    LOADING,
    LOADED
};

static struct options options;
static int load_state; /* enum load_state */

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

const struct options *options_of_process(void)
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

void options_account_only(void)
{
    options.allocator = ALLOCATOR_NATIVE;
}
