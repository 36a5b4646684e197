/* SPDX-License-Identifier: Apache-2.0 */
/* Looks for a symbol of its own private library. Built without sibling calls, or it would leave its own scope. */
#include <dlfcn.h>
#include <stddef.h>

int plugin_by_default(void);
int plugin_by_next(void);
int plugin_linked(void);
int plugin_private(void);

static int call(void *handle)
{
    int (*function)(void) = (int (*)(void))dlsym(handle, "plugin_private");

    return function ? function() : -1;
}

__attribute__((visibility("default"))) int plugin_by_default(void)
{
    return call(RTLD_DEFAULT);
}

__attribute__((visibility("default"))) int plugin_by_next(void)
{
    return call(RTLD_NEXT);
}

/* Makes the private library a dependency. */
__attribute__((visibility("default"))) int plugin_linked(void)
{
    return plugin_private();
}
