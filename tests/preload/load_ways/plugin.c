/* SPDX-License-Identifier: Apache-2.0 */
/* Does the work in plugins, one after the other: usage: way_plugin local|deepbind FILE ... */
#include "way.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *work_in(const char *file, int mode)
{
    void *plugin = dlopen(file, RTLD_NOW | RTLD_LOCAL | mode);
    const char *(*work)(void) = NULL;

    if (plugin)
        work = (const char *(*)(void))dlsym(plugin, "way_plugin");
    return work ? work() : dlerror();
}

int main(int argc, char **argv)
{
    const char *complaint = argc < 3 ? "no plugin given" : NULL;

    for (int i = 1; !complaint && i + 1 < argc; i += 2)
        complaint = work_in(argv[i + 1], strcmp(argv[i], "deepbind") == 0 ? RTLD_DEEPBIND : 0);
    return way_end(complaint);
}
