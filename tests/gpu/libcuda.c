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
#define FUNCTION(name)         {LIBCUDA_EXPANDED(name), NULL, offsetof(struct libcuda, name), true},
#define OLDER(name, older)     {LIBCUDA_EXPANDED(name), older, offsetof(struct libcuda, name), true},
#define OPTIONAL(name)         {LIBCUDA_EXPANDED(name), NULL, offsetof(struct libcuda, name), false},
static const struct {
    const char *symbol, *older;
    size_t offset;
    bool required;
} functions[] = {
#include "libcuda.def"
};
#undef FUNCTION
#undef OLDER
#undef OPTIONAL

const char *libcuda_open(void)
{
    static char why[96];
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return "there is no libcuda.so.1";
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *found = dlsym(library, functions[i].symbol);

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
