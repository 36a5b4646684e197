/* SPDX-License-Identifier: Apache-2.0 */
/* Does the work in a plugin: usage: way_plugin FILE FLAG..., flags of dlopen besides RTLD_NOW: local, deepbind. */
#include "way.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int mode = RTLD_NOW;

    for (int i = 2; i < argc; i++)
        mode |= strcmp(argv[i], "deepbind") == 0 ? RTLD_DEEPBIND : RTLD_LOCAL;
    void *plugin = argc > 1 ? dlopen(argv[1], mode) : NULL;
    const char *(*work)(void) = NULL;

    if (plugin)
        work = (const char *(*)(void))dlsym(plugin, "way_plugin");
    return way_end(work ? work() : dlerror());
}
