/* SPDX-License-Identifier: Apache-2.0 */
/* With EBBTIDE_DISABLE=1 a program gets the driver's own functions. */
#include "shared_object.h"

#include <criterion/criterion.h>

Test(disable, look_ups_give_the_drivers_own_functions)
{
    void *handle = dlopen("libcuda.so.1", RTLD_NOW);
    int (*ask)(const char *, void **, int, unsigned long long) =
        (int (*)(const char *, void **, int, unsigned long long))dlsym(handle, "cuGetProcAddress");
    void *entry = NULL;

    cr_assert(lies_in((void *)ask, "libcuda.so"));
    cr_assert_eq(ask("cuInit", &entry, 13000, 0), 0);
    cr_expect(lies_in(entry, "libcuda.so"));
}
