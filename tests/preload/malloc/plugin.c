/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - a plugin that allocates when it comes and goes, with thread-local storage that the loader allocates. */
#include "object.h"

static __thread char local[100000];
static struct objects objects;

int loaded_work(int value);
int loaded_work(int value)
{
    memset(local, value, sizeof local);
    objects_pass();
    return local[sizeof local - 1] == (char)value;
}

__attribute__((constructor)) static void load(void)
{
    objects_make(&objects);
}

__attribute__((destructor)) static void unload(void)
{
    objects_end(&objects);
}
