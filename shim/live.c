/* SPDX-License-Identifier: Apache-2.0 */
#include "live.h"

#include "core.h"
#include "entry_name.h"
#include "hooks.h"
#include "log.h"
#include "unhooked.h"

#include <dlfcn.h>
#include <string.h>

static char reason[160];
static bool is_taken, is_written;

static bool is_essential(const struct hook_row *row)
{
    return row->library == HOOK_LIBRARY_driver &&
           (row->class == HOOK_CLASS_allocate || row->class == HOOK_CLASS_free ||
            row->class == HOOK_CLASS_use || row->class == HOOK_CLASS_loader);
}

void live_doubt(const char *why, const char *entry)
{
    if (__atomic_exchange_n(&is_taken, true, __ATOMIC_ACQ_REL))
        return;
    log_print(reason, sizeof reason, entry ? "%s: %s" : "%s", why, entry);
    __atomic_store_n(&is_written, true, __ATOMIC_RELEASE);
    if (core_active())
        core_account_only(reason);
}

const char *live_passed_by(const struct hook_row *row)
{
    if (hooks_is_driver(hooks_bound(row->name)))
        return "the driver itself comes before this library";
    return hooks_is_passed_on(row) ? NULL : "another library answers dlsym before this one";
}

static void ask_for_all(void)
{
    for (const struct hook_row *row = hook_rows; row->name; row++) {
        const char *why = is_essential(row) && *row->real ? live_passed_by(row) : NULL;

        if (why)
            live_doubt(why, row->name);
    }
}

void live_start(void)
{
    ask_for_all();
    if (__atomic_load_n(&is_written, __ATOMIC_ACQUIRE))
        core_account_only(reason);
}

/* A newer form of an entry that managing rests on. */
static void doubt_newer(const char *symbol)
{
    for (const struct hook_row *row = hook_rows; row->name; row++) {
        if (!is_essential(row) || !entry_name_follows(symbol, row->name))
            continue;
        live_doubt(strcmp(row->name, symbol) == 0
                       ? "there is a second copy of the driver"
                       : "the driver has a newer form of an entry than this library",
                   symbol);
        return;
    }
}

void live_passed(const char *name, const void *function)
{
    Dl_info info;

    /* cuGetProcAddress: name and version together stand for one of several symbols, and the loader knows which. */
    if (dladdr(function, &info) && info.dli_sname && info.dli_saddr == function)
        name = info.dli_sname;
    if (!name || unhooked_reason(name))
        return;
    unhooked_note(name);
    doubt_newer(name);
}

void live_finish(void)
{
    if (core_active() || !hooks_find(hooks_row("cuInit")))
        return;
    ask_for_all();
    if (__atomic_load_n(&is_written, __ATOMIC_ACQUIRE))
        log_line(LOG_WARN, "CUDA may have been used past this library: %s", reason);
}
