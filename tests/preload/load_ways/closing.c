/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the driver, does the work and closes it again, several times. */
#include "way.h"

#include <cuda.h>
#include <dlfcn.h>

static const char *work(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    CUresult (*init)(unsigned) = library ? (CUresult(*)(unsigned))dlsym(library, "cuInit") : NULL;

    if (!init || init(0) != CUDA_SUCCESS)
        return "cuInit";
    const char *complaint = way_driver();

    return !complaint && dlclose(library) ? "dlclose" : complaint;
}

int main(void)
{
    const char *complaint = NULL;

    for (unsigned i = 0; !complaint && i < 3; i++)
        complaint = work();
    return way_end(complaint);
}
