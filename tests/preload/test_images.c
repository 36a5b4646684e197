/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of a driver that does not tell their parameters, preloaded on a simulated device of which 16 MiB are the budget.
 * Nothing that is not on the device can be reached there (EBBTIDE_RESIDENCY=strict), so that a launch that might use all of
 * the blocks is refused, and one that is known to use two of them is not.
 */
#include "../core/made_image.h"
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)6 * MIB)

enum {
    BLOCKS = 4,
    COUNT = 6 << 18 /* floats of one */
};

/* What the kernel of `KERNELS` would look like as text. */
static const char text[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry add(\n\t.param .u64 add_param_0,\n\t.param .u64 .ptr .align 4 add_param_1,\n"
    "\t.param .u64 add_param_2\n)\n{\n\tret;\n}\n";

/* The header has only the newest. */
CUresult cuCtxCreate_v2(CUcontext *out, unsigned flags, CUdevice device);

static CUdeviceptr block[BLOCKS];
static CUcontext context;

static void begin(void)
{
    CUdevice device;

    OK(cuInit(0));
    OK(cuDeviceGet(&device, 0));
    OK(cuDevicePrimaryCtxRetain(&context, device));
    OK(cuCtxSetCurrent(context));
    for (unsigned i = 0; i < BLOCKS; i++) {
        OK(cuMemAlloc(&block[i], BLOCK_BYTES));
        OK(cuMemsetD32(block[i], bits_of((float)(1 << i)), COUNT));
    }
}

static CUresult add(const void *function, unsigned out, unsigned in)
{
    uint64_t count = COUNT;
    void *parameters[] = {&block[out], &block[in], &count};

    return cuLaunchKernel((CUfunction)function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
}

/* Launches come to what they name, and to no more. */
static void expect_known(const void *function)
{
    OK(cuMemsetD32(block[0], bits_of(1), COUNT));
    OK(cuMemsetD32(block[2], bits_of(4), COUNT));
    OK(add(function, 0, 1));
    OK(add(function, 2, 3));
    OK(add(function, 0, 3));
    cr_expect(all_are(block[0], COUNT, 1 + 2 + 8));
    cr_expect(all_are(block[2], COUNT, 4 + 8));
}

static void expect_unknown(const void *function)
{
    cr_expect_eq(add(function, 0, 1), CUDA_ERROR_OUT_OF_MEMORY);
}

static CUfunction function_of(CUmodule module)
{
    CUfunction function;

    OK(cuModuleGetFunction(&function, module, "add"));
    return function;
}

/* The bytes of a file. */
static void *read_file(const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat status;
    void *bytes;

    cr_assert(fd >= 0 && fstat(fd, &status) == 0);
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    cr_assert_neq(bytes, MAP_FAILED);
    close(fd);
    return bytes;
}

static void expect_module(CUmodule module)
{
    expect_known(function_of(module));
    OK(cuModuleUnload(module));
}

Test(images, text_that_is_loaded_tells_what_launches_use)
{
    char *image = strdup(text);
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, image));
    memset(image, 'x', sizeof(text) - 1); /* it is the program's */
    free(image);
    expect_module(module);
    OK(cuModuleLoadDataEx(&module, text, 0, NULL, NULL));
    expect_module(module);
}

Test(images, code_that_is_loaded_tells_what_launches_use)
{
    CUmodule module;

    begin();
    OK(cuModuleLoad(&module, getenv("DESCRIBED")));
    expect_module(module);
    OK(cuModuleLoadData(&module, read_file(getenv("DESCRIBED"))));
    expect_module(module);
}

static void expect_library(CUlibrary library)
{
    CUkernel kernel;
    CUfunction function;
    CUmodule module;

    OK(cuLibraryGetKernel(&kernel, library, "add"));
    expect_known(kernel);
    OK(cuKernelGetFunction(&function, kernel));
    expect_known(function);
    OK(cuLibraryGetModule(&module, library));
    expect_known(function_of(module));
    OK(cuLibraryUnload(library));
}

Test(libraries, what_is_loaded_as_a_library_tells_what_launches_use)
{
    CUlibrary library;

    begin();
    OK(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    expect_library(library);
    OK(cuLibraryLoadData(&library, read_file(getenv("DESCRIBED")), NULL, NULL, 0, NULL, NULL, 0));
    expect_library(library);
    OK(cuLibraryLoadFromFile(&library, getenv("DESCRIBED"), NULL, NULL, 0, NULL, NULL, 0));
    expect_library(library);
}

/* What the compiler leaves in a program: text, packed. */
static const void *fat_binary(void)
{
    static unsigned char fat[MADE_IMAGE_BYTES];
    size_t size = made_fat(fat);

    made_fat_entry(fat, size, 1, 75, MADE_LZ4, (const unsigned char *)text, sizeof(text));
    return fat;
}

Test(images, a_fat_binary_tells_what_launches_use)
{
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, fat_binary()));
    expect_module(module);
}

Test(libraries, a_wrapped_fat_binary_tells_what_launches_use)
{
    const struct {
        uint32_t magic, version;
        const void *data, *more;
    } wrapper = {0x466243b1, 1, fat_binary(), NULL};
    CUlibrary library;

    begin();
    OK(cuLibraryLoadData(&library, &wrapper, NULL, NULL, 0, NULL, NULL, 0));
    expect_library(library);
}

/* Of each handle it is the last one's image that counts. */
Test(images, an_image_that_was_unloaded_tells_nothing_any_more)
{
    CUmodule module;

    begin();
    for (unsigned i = 0; i < 3; i++) {
        OK(cuModuleLoadData(&module, text));
        expect_module(module);
        OK(cuModuleLoad(&module, getenv("KERNELS")));
        expect_unknown(function_of(module));
        OK(cuModuleUnload(module));
    }
}

Test(images, an_image_that_says_this_and_that_tells_nothing)
{
    char twice[1024];
    CUmodule module;

    begin();
    snprintf(twice, sizeof(twice), "%s.visible .entry add(.param .u32 a) { ret; }\n", text);
    OK(cuModuleLoadData(&module, twice));
    expect_unknown(function_of(module));
    snprintf(twice, sizeof(twice), "%s%s", text, strstr(text, ".visible"));
    OK(cuModuleLoadData(&module, twice));
    expect_known(function_of(module));
}

Test(images, a_context_that_ends_takes_nothing_from_those_of_others)
{
    CUcontext other;
    CUfunction function;
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, text));
    function = function_of(module);
    expect_known(function);
    OK(cuCtxCreate_v2(&other, 0, 0));
    OK(cuModuleLoadData(&module, text));
    expect_known(function_of(module));
    OK(cuCtxDestroy(other));
    OK(cuCtxSetCurrent(context));
    expect_known(function);
}

/* On a driver whose answer is the same for a kernel of a library and for what lies behind the last parameter. */
Test(kernels, what_a_driver_calls_invalid_is_not_taken_for_a_kernel_of_no_parameters)
{
    CUlibrary library;
    CUkernel kernel;

    begin();
    OK(cuLibraryLoadFromFile(&library, getenv("KERNELS"), NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetKernel(&kernel, library, "add"));
    expect_known(kernel);
    OK(cuLibraryUnload(library));
}
