/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded, linked to a libcuda that has every row: each way to a row's function ends in our library. */
#include "hook/hooks.h"
#include "shared_object.h"

#include <criterion/criterion.h>

struct row {
    const char *name;
    void *linked; /* what the loader bound this program to */
};

/* The driver's rows; the runtime's have a test with a runtime. */
static const struct row rows[] = {
#define BIND_driver(name) {#name, (void *)name},
#define BIND_runtime(name)
#define BIND_nvml(name)
#define MARK_ROW(name, parameters, arguments)
#define ROW(library, class, result, name, body, parameters, arguments) BIND_##library(name)
#include "hook/hook_table.def"
};

enum {
    ROWS = sizeof rows / sizeof *rows
};

static void *driver(void)
{
    void *handle = dlopen("libcuda.so.1", RTLD_NOW);

    cr_assert(handle, "%s", dlerror());
    return handle;
}

Test(hook_table, bind_directly_to_us)
{
    for (unsigned i = 0; i < ROWS; i++)
        cr_expect(lies_in(rows[i].linked, "libebbtide.so"), "%s", rows[i].name);
}

Test(hook_table, resolve_to_us_through_a_handle)
{
    void *handle = driver();

    for (unsigned i = 0; i < ROWS; i++)
        cr_expect(lies_in(dlsym(handle, rows[i].name), "libebbtide.so"), "%s", rows[i].name);
}

Test(hook_table, resolve_to_us_through_the_pseudo_handles)
{
    for (unsigned i = 0; i < ROWS; i++) {
        cr_expect(lies_in(dlsym(RTLD_DEFAULT, rows[i].name), "libebbtide.so"), "%s", rows[i].name);
        cr_expect(lies_in(dlsym(RTLD_NEXT, rows[i].name), "libebbtide.so"), "%s", rows[i].name);
    }
}

Test(hook_table, resolve_to_us_through_the_driver)
{
    for (unsigned i = 0; i < ROWS; i++) {
        CUdriverProcAddressQueryResult status;
        void *entry[3] = {0};

        cr_assert_eq(cuGetProcAddress(rows[i].name, &entry[0], 13000, 0), CUDA_SUCCESS);
        cr_assert_eq(cuGetProcAddress_v2(rows[i].name, &entry[1], 13000, 0, &status), CUDA_SUCCESS);
        cr_assert_eq(cuGetProcAddress_v2_ptsz(rows[i].name, &entry[2], 13000, 0, &status), CUDA_SUCCESS);
        for (unsigned j = 0; j < 3; j++)
            cr_expect_eq(entry[j], rows[i].linked, "%s", rows[i].name);
    }
}

Test(hook_table, are_of_the_type_that_reaches_the_real_function)
{
    /* The code is the row's own: no two rows have changed places. */
    cr_expect_eq((int)cuInit(0), 100000);
    cr_expect_neq((int)cuMemFree_v2(0), (int)cuCtxDestroy_v2(NULL));
    cr_expect_eq((int)cuMemcpyHtoD_v2_ptds(0, NULL, 0), (int)cuMemcpyHtoD_v2(0, NULL, 0) + 1);
    cr_expect_eq((int)cuLaunchKernel_ptsz(NULL, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL),
                 (int)cuLaunchKernel(NULL, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL) + 1);
}

Test(hook_table, leave_other_entries_to_the_driver)
{
    void *entry = NULL;

    cr_expect(lies_in(dlsym(driver(), "cuDeviceGetName"), "libcuda.so"));
    cr_assert_eq(cuGetProcAddress("cuDeviceGetName", &entry, 13000, 0), CUDA_SUCCESS);
    cr_expect(lies_in(entry, "libcuda.so"));
    cr_expect_null(dlsym(driver(), "cuNoSuchEntry"));
    cr_expect_not_null(dlerror());
    cr_expect_neq(cuGetProcAddress("cuNoSuchEntry", &entry, 13000, 0), CUDA_SUCCESS);
}
