/* SPDX-License-Identifier: Apache-2.0 */
/* Code that is unloaded, and other code at the same addresses: what was known of the first is not believed of the second. */
#include <criterion/criterion.h>
#include <cuda.h>
#include <dlfcn.h>

#include "ebbtide.h"

enum {
    BLOCK_BYTES = 6 << 20, /* of a budget of 16 MiB */
    BLOCKS = 5,
    FIRST = 71, /* what the runtimes answer */
    SECOND = 72
};

struct plugin {
    void *handle;
    int (*allocate)(CUdeviceptr *, size_t);
    int (*ask)(void);
};

static struct plugin opened(const char *file)
{
    struct plugin plugin = {.handle = dlopen(file, RTLD_NOW | RTLD_LOCAL)};

    cr_assert_not_null(plugin.handle, "%s", dlerror());
    *(void **)&plugin.allocate = dlsym(plugin.handle, "plugin_allocate");
    *(void **)&plugin.ask = dlsym(plugin.handle, "plugin_ask");
    cr_assert(plugin.allocate && plugin.ask);
    return plugin;
}

/* The plugin in place of another one that has been used by `use`, which is gone. */
static struct plugin in_place_of(const char *before, const char *file, void (*use)(const struct plugin *))
{
    struct plugin first = opened(before), second;

    use(&first);
    cr_assert_eq(dlclose(first.handle), 0);
    second = opened(file);
    cr_assert_eq(second.allocate, first.allocate, "it does not lie where the first one did");
    return second;
}

static void begin(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    CUcontext context;

    cr_assert_not_null(driver);
    cr_assert_eq(((CUresult(*)(unsigned))dlsym(driver, "cuInit"))(0), CUDA_SUCCESS);
    cr_assert_eq(((CUresult(*)(CUcontext *, CUdevice))dlsym(driver, "cuDevicePrimaryCtxRetain"))(&context, 0),
                 CUDA_SUCCESS);
    cr_assert_eq(((CUresult(*)(CUcontext))dlsym(driver, "cuCtxSetCurrent"))(context), CUDA_SUCCESS);
}

static void allocate_and_free(const struct plugin *plugin)
{
    CUdeviceptr memory;

    cr_assert_eq(plugin->allocate(&memory, BLOCK_BYTES), CUDA_SUCCESS);
    cr_assert_eq(((CUresult(*)(CUdeviceptr))dlsym(RTLD_DEFAULT, "cuMemFree_v2"))(memory), CUDA_SUCCESS);
}

/* How often its blocks have left the device for others of it. */
static uint64_t evictions_for(const struct plugin *plugin)
{
    struct ebb_stats stats = {.struct_bytes = sizeof(stats)};
    CUdeviceptr memory;

    for (unsigned i = 0; i < BLOCKS; i++)
        cr_assert_eq(plugin->allocate(&memory, BLOCK_BYTES), CUDA_SUCCESS);
    cr_assert_eq(ebb_get_stats(&stats), 0);
    return stats.evictions;
}

Test(reopened, memory_moves_although_the_code_of_a_library_whose_own_does_not_was_there)
{
    struct plugin plugin;

    begin();
    plugin = in_place_of("libcublas.so.9", "reopened_plugin.so", allocate_and_free);
    cr_assert_gt(evictions_for(&plugin), 0);
}

Test(reopened, memory_of_such_a_library_stays_although_other_code_was_there)
{
    struct plugin plugin;

    begin();
    plugin = in_place_of("reopened_plugin.so", "libcublas.so.9", allocate_and_free);
    cr_assert_eq(evictions_for(&plugin), 0);
}

static void ask_first(const struct plugin *plugin)
{
    cr_assert_eq(plugin->ask(), FIRST);
}

Test(reopened, a_plugin_gets_its_own_runtime_and_not_that_of_the_one_before)
{
    struct plugin plugin = in_place_of("reopened_first.so", "reopened_second.so", ask_first);

    cr_assert_eq(plugin.ask(), SECOND);
    cr_assert_eq(plugin.ask(), SECOND, "nor once it is remembered");
}

Test(reopened, what_stood_in_for_the_driver_is_not_called_where_it_no_longer_is)
{
    void *stand_in = dlopen("reopened_stand_in.so", RTLD_NOW | RTLD_LOCAL);
    CUresult (*total)(size_t *, CUdevice);
    size_t bytes;

    cr_assert_not_null(stand_in, "%s", dlerror());
    total = (CUresult(*)(size_t *, CUdevice))dlsym(RTLD_DEFAULT, "cuDeviceTotalMem_v2");
    cr_assert_not_null(total);
    cr_assert_eq((int)total(&bytes, 0), FIRST);
    cr_assert_eq(dlclose(stand_in), 0);
    cr_assert_eq((int)total(&bytes, 0), FIRST);
}
