/* SPDX-License-Identifier: Apache-2.0 */
/* unhooked.c - see unhooked.h. */
#include "hook/unhooked.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

struct name {
    atomic_bool is_taken;
    atomic_bool is_written;
    char text[UNHOOKED_NAME_BYTES];
};

static struct name names[UNHOOKED_MAX];

static const struct {
    const char *name; /* or the beginning of several, before a '*' */
    const char *reason;
} reasons[] = {
#define REASON(name, reason) {name, reason},
#include "hook/unhooked.def"
};

const char *unhooked_reason(const char *name)
{
    for (unsigned i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        size_t length = strcspn(reasons[i].name, "*");

        if (strncmp(name, reasons[i].name, length) == 0 && (reasons[i].name[length] == '*' || !name[length]))
            return reasons[i].reason;
    }
    return NULL;
}

void unhooked_note(const char *name)
{
    for (unsigned i = 0; i < UNHOOKED_MAX; i++) {
        if (!atomic_exchange_explicit(&names[i].is_taken, true, memory_order_acq_rel)) {
            strncpy(names[i].text, name, UNHOOKED_NAME_BYTES - 1);
            atomic_store_explicit(&names[i].is_written, true, memory_order_release);
            return;
        }
        if (atomic_load_explicit(&names[i].is_written, memory_order_acquire) &&
            strncmp(names[i].text, name, UNHOOKED_NAME_BYTES - 1) == 0)
            return;
    }
}

const char *unhooked_name(unsigned index)
{
    return index < UNHOOKED_MAX && atomic_load_explicit(&names[index].is_written, memory_order_acquire)
               ? names[index].text
               : NULL;
}
