/* SPDX-License-Identifier: Apache-2.0 */
/* self_test.c - see self_test.h. */
#include "hook/self_test.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

#include "base/entry_name.h"
#include "base/loader.h"
#include "base/log.h"
#include "engine/core.h"
#include "hook/hooks.h"
#include "hook/unhooked.h"

static char reason[160];
static atomic_bool is_taken, is_written;

static bool is_essential(const struct hook_row *row)
{
    return row->real->library == REAL_driver &&
           (row->class == HOOK_CLASS_allocate || row->class == HOOK_CLASS_free ||
            row->class == HOOK_CLASS_use || row->class == HOOK_CLASS_loader);
}

void self_test_doubt(const char *why, const char *entry)
{
    if (atomic_exchange_explicit(&is_taken, true, memory_order_acq_rel))
        return;
    log_print(reason, sizeof(reason), entry ? "%s: %s" : "%s", why, entry);
    atomic_store_explicit(&is_written, true, memory_order_release);
    if (core_active())
        core_account_only(reason);
}

const char *self_test_passed_by(const struct hook_row *row)
{
    if (real_is_driver(loader_symbol(RTLD_DEFAULT, row->real->name)))
        return "the driver itself comes before this library";
    return hooks_is_passed_on(row) ? NULL : "another library answers dlsym before this one";
}

static void ask_for_all(void)
{
    for (const struct hook_row *row = hook_rows; row->real; row++) {
        const char *why = is_essential(row) && *row->real->function ? self_test_passed_by(row) : NULL;

        if (why)
            self_test_doubt(why, row->real->name);
    }
}

void self_test_start(void)
{
    ask_for_all();
    if (atomic_load_explicit(&is_written, memory_order_acquire))
        core_account_only(reason);
}

/* An entry that managing rests on, or a newer form of it. */
static const char *doubt_about(const char *symbol)
{
    for (const struct hook_row *row = hook_rows; row->real; row++)
        if (is_essential(row) && entry_name_follows(symbol, row->real->name))
            return strcmp(row->real->name, symbol) == 0
                       ? "there is a second copy of the driver"
                       : "the driver has a newer form of an entry than this library";
    return NULL;
}

/* A name without its version stands for every form of it, the one that managing rests on among them. */
static const char *doubt_about_nameless(const char *base)
{
    for (const struct hook_row *row = hook_rows; row->real; row++)
        if (is_essential(row) && entry_name_is_form(base, row->real->name))
            return "the driver hands out an entry that it does not export";
    return NULL;
}

void self_test_passed(const char *name, const void *function)
{
    const char *symbol = NULL, *why;
    Dl_info info;

    if (!function || loader_is_ours(function) || hooks_is_in_front(function))
        return;
    /* cuGetProcAddress: name and version together stand for one of several symbols, and the loader knows which. */
    if (dladdr(function, &info) && info.dli_sname && info.dli_saddr == function)
        symbol = info.dli_sname;
    why = symbol ? doubt_about(symbol) : name ? doubt_about_nameless(name) : NULL;
    name = symbol ? symbol : name;
    if (!name || (unhooked_reason(name) && (symbol || !why)))
        return;
    unhooked_note(name);
    if (why)
        self_test_doubt(why, name);
}

void self_test_finish(void)
{
    if (core_active() || !real_find(REAL_ROW(cuInit)))
        return;
    ask_for_all();
    if (atomic_load_explicit(&is_written, memory_order_acquire))
        log_line(LOG_WARN, "CUDA may have been used past this library: %s", reason);
}
