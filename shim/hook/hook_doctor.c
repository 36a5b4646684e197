/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks' part of `ebbtide doctor`. */
#include <string.h>

#include "base/compiler.h"
#include "base/doctor.h"
#include "base/options.h"
#include "cuda/device_cuda.h"
#include "hook/hooks.h"
#include "hook/lifecycle.h"
#include "hook/self_test.h"

static const char *const class_words[] = {
    [HOOK_CLASS_loader] = "hooks: start", [HOOK_CLASS_allocate] = "hooks: allocate",
    [HOOK_CLASS_free] = "hooks: free",    [HOOK_CLASS_use] = "hooks: use",
    [HOOK_CLASS_query] = "hooks: query",  [HOOK_CLASS_lifecycle] = "hooks: context",
};

/* How many entries of a class the driver has, and how many of them come to us; up to three of the others by name. */
static bool show_class(FILE *out, enum hook_class class)
{
    unsigned known = 0, live = 0, named = 0;
    char lost[200] = "";

    for (const struct hook_row *row = hook_rows; row->real; row++) {
        if (row->real->library != REAL_driver || row->class != class || !*row->real->function)
            continue;
        known++;
        if (!self_test_passed_by(row))
            live++;
        else if (named++ < 3) {
            strncat(lost, named == 1 ? "; not " : ", ", sizeof(lost) - strlen(lost) - 1);
            strncat(lost, row->real->name, sizeof(lost) - strlen(lost) - 1);
        }
    }
    doctor_line(out, class_words[class], "%u of %u live%s%s", live, known, lost, named > 3 ? ", ..." : "");
    return known && live == known;
}

static unsigned count_runtime(void)
{
    unsigned count = 0;

    for (const struct hook_row *row = hook_rows; row->real; row++)
        count += row->real->library == REAL_runtime;
    return count;
}

EXPORT bool ebb_doctor(FILE *out, bool has_started)
{
    bool is_good = has_started;

    for (int class = 0; has_started && class < (int)(sizeof(class_words) / sizeof(*class_words)); class ++)
        is_good = show_class(out, (enum hook_class) class) && is_good;
    for (unsigned i = 0; i < contexts_device_count(); i++)
        device_cuda_host_ready(i);
    doctor_line(out, "hooks: runtime", "%u, for a shared one; a static one comes through the driver's",
                count_runtime());
    return doctor_core(out, options_of_process()) && is_good && !lifecycle_is_reduced();
}
