/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opens.c - a program of C that opens C++ plugins for itself alone, as Python opens extension modules: their C++ library is
 * in nobody else's scope.
 *
 * usage: opens BYTES PLUGIN...
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **arguments)
{
    for (int i = 2; i < argc; i++) {
        void *plugin = dlopen(arguments[i], RTLD_NOW | RTLD_LOCAL);
        void (*each)(size_t);

        if (!plugin || !(*(void **)&each = dlsym(plugin, "forms_each"))) {
            fprintf(stderr, "opens: %s\n", dlerror());
            return 1;
        }
        each(strtoul(arguments[1], NULL, 0));
    }
    return 0;
}
