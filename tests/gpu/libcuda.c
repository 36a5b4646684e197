/* SPDX-License-Identifier: Apache-2.0 */
#include "libcuda.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct libcuda cu;

#define LIBCUDA_STRING(name)   #name
#define LIBCUDA_EXPANDED(name) LIBCUDA_STRING(name)
#define FUNCTION(name)         {LIBCUDA_EXPANDED(name), NULL, 0, offsetof(struct libcuda, name), true},
#define OLDER(name, since, older)                                                                            \
    {LIBCUDA_EXPANDED(name), older, since, offsetof(struct libcuda, name), true},
#define OPTIONAL(name, since) {LIBCUDA_EXPANDED(name), NULL, since, offsetof(struct libcuda, name), false},
static const struct {
    const char *symbol, *older;
    int since; /* the version that has the symbol */
    size_t offset;
    bool required;
} functions[] = {
#include "libcuda.def"
};
#undef FUNCTION
#undef OLDER
#undef OPTIONAL

static void *library;

static int version_of(void)
{
    CUresult (*get)(int *version);
    int version = 0;

    *(void **)&get = dlsym(library, "cuDriverGetVersion");
    if (get)
        get(&version);
    return version;
}

bool libcuda_is_simulated(void)
{
    return library && dlsym(library, "simgpu_uses");
}

const char *libcuda_open(void)
{
    static char why[96];
    int version;

    library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return "there is no libcuda.so.1";
    version = version_of();
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *found = version >= functions[i].since ? dlsym(library, functions[i].symbol) : NULL;

        if (!found && functions[i].older)
            found = dlsym(library, functions[i].older);
        if (!found && functions[i].required) {
            snprintf(why, sizeof(why), "the driver has no %s", functions[i].symbol);
            return why;
        }
        memcpy((char *)&cu + functions[i].offset, &found, sizeof(found));
    }
    return NULL;
}

const char *libcuda_result(CUresult result)
{
    const char *name = NULL;

    if (!cu.cuGetErrorName || cu.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
        return "unknown";
    return name;
}
