/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pointers that kernels keep in variables of their own, preloaded on a simulated device (EBBTIDE_DISK=auto): what such a
 * pointer names stays where kernels reach it, and what none names may leave. Nothing that is not on the device can be
 * reached there (EBBTIDE_RESIDENCY=strict), which has room for two blocks.
 */
#include "../core/made_image.h"
#include "world.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)6 * MIB)

enum {
    PTX = 1,
    ELF = 2,
    OTHER = 8
};

/* Of what is declared `kept` is where one kernel stores what it is given, and the other one writes through it. */
#define TEXT(declared)                                                                                       \
    ".version 8.0\n.target sm_75\n.address_size 64\n" declared                                               \
    ".visible .entry keep(.param .u64 pointer)\n{\n\t.reg .b64 %rd<4>;\n\tld.param.u64 %rd1, [pointer];\n"   \
    "\tst.global.u64 [kept], %rd1;\n\tret;\n}\n"                                                             \
    ".visible .entry write(.param .u32 value)\n{\n\t.reg .b64 %rd<4>;\n\t.reg .b32 %r<3>;\n"                 \
    "\tld.param.u32 %r1, [value];\n\tld.global.u64 %rd1, [kept];\n\tst.global.u32 [%rd1], %r1;\n\tret;\n}\n"

static const char exported[] = TEXT(".visible .global .align 8 .u64 kept;\n");
static const char local[] = TEXT(".global .align 8 .u64 kept;\n");
static const char managed[] =
    TEXT(".global .align 8 .u64 kept;\n.visible .global .attribute(.managed) .align 8 .u64 shown;\n");
static const char constant[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n.const .align 8 .u64 kept[2];\n"
    ".visible .entry write(.param .u32 value)\n{\n\t.reg .b64 %rd<4>;\n\t.reg .b32 %r<3>;\n"
    "\tld.param.u32 %r1, [value];\n\tld.const.u64 %rd1, [kept+8];\n\tst.global.u32 [%rd1], %r1;\n\tret;\n}\n";

static struct {
    CUcontext context;
    CUdeviceptr named, unnamed;
} world;

static void begin(void)
{
    CUdevice device;

    OK(cuInit(0));
    OK(cuDeviceGet(&device, 0));
    OK(cuDevicePrimaryCtxRetain(&world.context, device));
    OK(cuCtxSetCurrent(world.context));
    OK(cuMemAlloc(&world.named, BLOCK_BYTES));
    OK(cuMemAlloc(&world.unnamed, BLOCK_BYTES));
    OK(cuMemsetD32(world.named, 1, BLOCK_BYTES / 4));
    OK(cuMemsetD32(world.unnamed, 2, BLOCK_BYTES / 4));
}

static void launch(CUmodule module, const char *name, const void *value)
{
    CUfunction function;

    OK(cuModuleGetFunction(&function, module, name));
    OK(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){(void *)value}, NULL));
    OK(cuCtxSynchronize());
}

static uint32_t word_at(CUdeviceptr at)
{
    uint32_t word;

    OK(cuMemcpyDtoH(&word, at, sizeof word));
    return word;
}

/* Is there room for another block, which one of the two has to leave for? */
static bool has_room(void)
{
    CUdeviceptr more;
    CUresult result = cuMemAlloc(&more, BLOCK_BYTES);

    if (result != CUDA_ERROR_OUT_OF_MEMORY)
        OK(result);
    if (result == CUDA_SUCCESS)
        OK(cuMemFree(more));
    return result == CUDA_SUCCESS;
}

/* The one that no pointer names leaves, though it was used last, and the kernel finds the other. */
static void expect_kept(CUmodule module)
{
    OK(cuMemsetD32(world.unnamed, 2, 1));
    cr_expect(has_room());
    launch(module, "write", &(uint32_t){7});
    cr_expect_eq(word_at(world.named), 7);
    cr_expect_eq(word_at(world.unnamed), 2);
    OK(cuMemsetD32(world.named, 1, 1));
}

static void expect_all_stay(void)
{
    cr_expect_not(has_room());
}

static const void *fat_binary(const char *text, bool has_other)
{
    static unsigned char fat[MADE_IMAGE_BYTES];
    size_t size =
        made_fat_entry(fat, made_fat(fat), PTX, 75, MADE_LZ4, (const unsigned char *)text, strlen(text) + 1);

    if (has_other)
        made_fat_entry(fat, size, OTHER, 75, MADE_PLAIN, (const unsigned char *)text, 8);
    return fat;
}

Test(variables, of_text_keep_what_they_point_at)
{
    static const char *const texts[] = {exported, local};
    CUmodule module;

    begin();
    for (unsigned i = 0; i < 2; i++) {
        OK(cuModuleLoadData(&module, texts[i]));
        launch(module, "keep", &world.named);
        expect_kept(module);
        OK(cuModuleUnload(module));
    }
}

Test(variables, that_are_constant_keep_what_they_point_at)
{
    CUdeviceptr kept;
    CUmodule module;
    size_t bytes;

    begin();
    OK(cuModuleLoadData(&module, constant));
    OK(cuModuleGetGlobal(&kept, &bytes, module, "kept"));
    OK(cuMemcpyHtoD(kept + 8, &world.named, sizeof world.named));
    expect_kept(module);
}

Test(variables, of_a_fat_binary_keep_what_they_point_at)
{
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, fat_binary(local, false)));
    launch(module, "keep", &world.named);
    expect_kept(module);
}

Test(variables, of_a_file_keep_what_they_point_at)
{
    char path[] = "/tmp/ebbtide-text-XXXXXX";
    int fd = mkstemp(path);
    CUmodule module;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, local, sizeof local - 1), (ssize_t)sizeof local - 1);
    close(fd);
    begin();
    CUresult result = cuModuleLoad(&module, path);

    unlink(path);
    OK(result);
    launch(module, "keep", &world.named);
    expect_kept(module);
}

Test(variables, of_a_library_keep_what_they_point_at)
{
    CUlibrary library;
    CUmodule module;

    begin();
    OK(cuLibraryLoadData(&library, fat_binary(local, false), NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetModule(&module, library));
    launch(module, "keep", &world.named);
    expect_kept(module);
    OK(cuLibraryUnload(library));
}

Test(variables, that_point_nowhere_keep_nothing)
{
    CUdeviceptr more[2];
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, local));
    launch(module, "keep", &world.named);
    launch(module, "keep", &(CUdeviceptr){0});
    OK(cuMemAlloc(&more[0], BLOCK_BYTES));
    OK(cuMemAlloc(&more[1], BLOCK_BYTES));
    cr_expect_eq(word_at(world.named), 1);
}

Test(variables, of_a_library_are_others_in_each_context)
{
    CUcontext second;
    CUlibrary library;
    CUmodule module[2];

    begin();
    OK(cuCtxCreate(&second, NULL, 0, 0));
    OK(cuLibraryLoadData(&library, local, NULL, NULL, 0, NULL, NULL, 0));
    OK(cuLibraryGetModule(&module[1], library));
    launch(module[1], "keep", &world.named);
    OK(cuCtxSetCurrent(world.context));
    OK(cuLibraryGetModule(&module[0], library));
    launch(module[0], "keep", &(CUdeviceptr){0});
    OK(cuMemsetD32(world.unnamed, 2, 1));
    cr_expect(has_room());
    OK(cuCtxSetCurrent(second));
    launch(module[1], "write", &(uint32_t){7});
    OK(cuCtxSetCurrent(world.context));
    cr_expect_eq(word_at(world.named), 7);
    OK(cuCtxDestroy(second));
}

Test(variables, end_with_their_context)
{
    CUcontext second;
    CUmodule module;
    CUdevice device;

    begin();
    for (unsigned i = 0; i < 3; i++) {
        OK(cuCtxCreate(&second, NULL, 0, 0));
        OK(cuModuleLoadData(&module, local));
        launch(module, "keep", &world.named);
        OK(cuCtxDestroy(second));
    }
    OK(cuCtxCreate(&second, NULL, 0, 0)); /* with the handle of one before, perhaps */
    OK(cuCtxSetCurrent(world.context));
    cr_expect(has_room());
    OK(cuModuleLoadData(&module, local));
    OK(cuCtxGetDevice(&device));
    OK(cuDevicePrimaryCtxReset(device));
    OK(cuDevicePrimaryCtxRelease(device));
    begin();
    cr_expect(has_room(), "the primary context keeps its handle");
}

Test(variables, of_a_green_context_keep_what_they_point_at)
{
    CUdevResourceDesc description;
    CUdevResource resource;
    CUgreenCtx green;
    CUcontext context;
    CUmodule module;
    CUdevice device;

    begin();
    OK(cuCtxGetDevice(&device));
    OK(cuDeviceGetDevResource(device, &resource, CU_DEV_RESOURCE_TYPE_SM));
    OK(cuDevResourceGenerateDesc(&description, &resource, 1));
    OK(cuGreenCtxCreate(&green, description, device, CU_GREEN_CTX_DEFAULT_STREAM));
    OK(cuCtxFromGreenCtx(&context, green));
    OK(cuCtxSetCurrent(context));
    OK(cuModuleLoadData(&module, local));
    launch(module, "keep", &world.named);
    expect_kept(module);
    OK(cuModuleUnload(module));
    OK(cuCtxSetCurrent(world.context));
    OK(cuGreenCtxDestroy(green));
    cr_expect(has_room());
}

Test(unknown, what_the_driver_may_take_and_nobody_reads_keeps_all)
{
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, fat_binary(local, true)));
    expect_all_stay();
}

/* A part that comes from a linker has names that it kept to itself. */
Test(unknown, variables_of_one_name_keep_all)
{
    static const struct made_variable twins[] = {{"kept", ".nv.global", 1, 0}, {"kept", ".nv.global", 1, 0}};
    static unsigned char fat[MADE_IMAGE_BYTES], code[MADE_IMAGE_BYTES];
    size_t size = made_fat_entry(fat, made_fat(fat), ELF, 90, MADE_LZ4, code, made_symbols(code, twins, 2));
    CUmodule module;

    made_fat_entry(fat, size, PTX, 75, MADE_LZ4, (const unsigned char *)local, sizeof local);
    begin();
    OK(cuModuleLoadData(&module, fat));
    expect_all_stay();
}

Test(unknown, managed_variables_keep_all)
{
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, managed));
    expect_all_stay();
}

Test(unlocated, variables_that_the_driver_does_not_locate_keep_all)
{
    CUmodule module;

    begin();
    OK(cuModuleLoadData(&module, local));
    launch(module, "keep", &world.named);
    expect_all_stay();
}
