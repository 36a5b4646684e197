/* SPDX-License-Identifier: Apache-2.0 */
#include "hook/unhooked.h"

#include <stdbool.h>
#include <string.h>

struct name {
    bool is_taken;
    bool is_written;
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
    for (unsigned i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        size_t length = strcspn(reasons[i].name, "*");

        if (strncmp(name, reasons[i].name, length) == 0 && (reasons[i].name[length] == '*' || !name[length]))
            return reasons[i].reason;
    }
    return 0;
}

void unhooked_note(const char *name)
{
    for (unsigned i = 0; i < UNHOOKED_MAX; i++) {
        if (!__atomic_exchange_n(&names[i].is_taken, true, __ATOMIC_ACQ_REL)) {
            strncpy(names[i].text, name, UNHOOKED_NAME_BYTES - 1);
            __atomic_store_n(&names[i].is_written, true, __ATOMIC_RELEASE);
            return;
        }
        if (__atomic_load_n(&names[i].is_written, __ATOMIC_ACQUIRE) &&
            strncmp(names[i].text, name, UNHOOKED_NAME_BYTES - 1) == 0)
            return;
    }
}

const char *unhooked_name(unsigned index)
{
    return index < UNHOOKED_MAX && __atomic_load_n(&names[index].is_written, __ATOMIC_ACQUIRE)
               ? names[index].text
               : 0;
}
