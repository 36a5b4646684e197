/* SPDX-License-Identifier: Apache-2.0 */
/* The way in: entries, versions, failures, modules and libraries. */
#include "driver.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <string.h>

static void *entry(const char *name, int version, cuuint64_t flags_wanted)
{
    CUdriverProcAddressQueryResult status;
    void *found;

    must(cuGetProcAddress(name, &found, version, flags_wanted, &status));
    cr_assert_eq(status == CU_GET_PROC_ADDRESS_SUCCESS, found != NULL);
    return found;
}

static void *symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

Test(entry, nothing_works_before_init)
{
    int count;

    cr_assert_eq(cuDeviceGetCount(&count), CUDA_ERROR_NOT_INITIALIZED);
    cr_assert_eq(cuInit(1), CUDA_ERROR_INVALID_VALUE);
    must(cuDriverGetVersion(&count));
    cr_assert_eq(count, 13000);
}

Test(entry, no_context_is_an_error_where_one_is_needed)
{
    CUdeviceptr address;

    must(cuInit(0));
    cr_assert_eq(cuMemAlloc(&address, 1), CUDA_ERROR_INVALID_CONTEXT);
    cr_assert_eq(cuStreamSynchronize(NULL), CUDA_ERROR_INVALID_CONTEXT);
}

Test(entry, names_versions_and_flags_choose_the_variant)
{
    must(cuInit(0));
    cr_assert_eq(entry("cuMemAlloc", 13000, 0), symbol("cuMemAlloc_v2"));
    cr_assert_eq(entry("cuMemAlloc", 2000, 0), symbol("cuMemAlloc"));
    cr_assert_eq(entry("cuCtxCreate", 11040, 0), symbol("cuCtxCreate_v3"));
    cr_assert_eq(entry("cuCtxCreate", 13000, 0), symbol("cuCtxCreate_v4"));
    cr_assert_eq(entry("cuMemcpyHtoDAsync", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM),
                 symbol("cuMemcpyHtoDAsync_v2_ptsz"));
    cr_assert_eq(entry("cuMemcpyHtoD", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM),
                 symbol("cuMemcpyHtoD_v2_ptds"));
    cr_assert_eq(entry("cuMemcpyHtoDAsync", 13000, CU_GET_PROC_ADDRESS_LEGACY_STREAM),
                 symbol("cuMemcpyHtoDAsync_v2"));
    cr_assert_eq(entry("cuMemAlloc", 13000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM),
                 symbol("cuMemAlloc_v2"));
    cr_assert_eq(entry("cuGetProcAddress", 13000, 0), symbol("cuGetProcAddress_v2"));
    cr_assert_null(entry("cuMemCreate", 10000, 0));
    cr_assert_null(entry("cuNoSuchThing", 13000, 0));
}

Test(entry, an_unknown_name_is_told_from_an_old_version)
{
    CUdriverProcAddressQueryResult status;
    void *found;

    must(cuInit(0));
    must(cuGetProcAddress("cuMemCreate", &found, 10000, 0, &status));
    cr_assert_eq(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
    must(cuGetProcAddress("cuNoSuchThing", &found, 13000, 0, &status));
    cr_assert_eq(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    cr_assert_eq(cuGetProcAddress("cuInit", &found, 13010, 0, &status), CUDA_ERROR_INVALID_VALUE);
}

Test(entry, an_older_driver_lacks_newer_entries)
{
    CUcontext context;
    CUevent event;
    int version;

    setenv("SIMGPU_DRIVER_VERSION", "12020", 1);
    context = start();
    must(cuDriverGetVersion(&version));
    cr_assert_eq(version, 12020);
    cr_assert_null(entry("cuCtxRecordEvent", 12020, 0));
    must(cuEventCreate(&event, 0));
    cr_assert_eq(cuCtxRecordEvent(context, event), CUDA_ERROR_NOT_SUPPORTED);
    cr_assert_eq(entry("cuCtxCreate", 12020, 0), symbol("cuCtxCreate_v3"));
}

Test(entry, what_is_not_implemented_says_so)
{
    const void *table;
    CUuuid id = {{0}};
    int supported;

    start();
    cr_assert_eq(cuDeviceGetExecAffinitySupport(&supported, CU_EXEC_AFFINITY_TYPE_SM_COUNT, 0),
                 CUDA_ERROR_NOT_SUPPORTED);
    cr_assert_neq(cuGetExportTable(&table, &id), CUDA_SUCCESS);
    /* Dr.Jit does without the whole device where OpenGL's are not there. */
    cr_assert_not_null(entry("cuGraphicsGLRegisterBuffer", 12000, 0));
    cr_assert_not_null(entry("cuGraphicsGLRegisterImage", 12000, 0));
}

Test(entry, the_per_thread_variant_uses_the_per_thread_stream)
{
    CUresult (*set)(CUdeviceptr, unsigned char, size_t, CUstream);
    uint32_t *flag;
    CUdeviceptr data;

    start();
    set = (CUresult(*)(CUdeviceptr, unsigned char, size_t, CUstream))symbol("cuMemsetD8Async_ptsz");
    must(cuMemAlloc(&data, 4096));
    flag = flags();
    must(launch("wait", CU_STREAM_PER_THREAD, (void *[]){&flag}));
    must(set(data, 1, 1, NULL));
    cr_assert_eq(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_NOT_READY);
    let_go(flag);
    must(cuStreamSynchronize(CU_STREAM_PER_THREAD));
}

Test(entry, a_failure_is_injected_at_its_call_and_does_nothing)
{
    CUdeviceptr address;
    size_t free_bytes, total;

    setenv("SIMGPU_FAIL", "cuMemAlloc_v2:2,cuMemFree_v2:1+:=999", 1);
    start();
    must(cuMemAlloc(&address, 4 * MIB));
    cr_assert_eq(cuMemAlloc(&address, 4 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    must(cuMemAlloc(&address, 4 * MIB));
    must(cuMemGetInfo(&free_bytes, &total));
    cr_assert_eq(total - free_bytes, 8 * MIB);
    cr_assert_eq(cuMemFree(address), CUDA_ERROR_UNKNOWN);
    cr_assert_eq(cuMemFree(address), CUDA_ERROR_UNKNOWN);
}

Test(entry, a_failure_may_be_limited_to_callers_in_one_library)
{
    CUdeviceptr address;

    setenv("SIMGPU_FAIL", "cuMemAlloc_v2:1+@libnothere,cuMemGetInfo_v2:1@test_entry", 1);
    start();
    must(cuMemAlloc(&address, 1));
    cr_assert_eq(cuMemGetInfo(NULL, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    must(cuMemGetInfo(NULL, NULL));
}

Test(entry, a_bad_value_of_ours_fails_init)
{
    setenv("SIMGPU_FAIL", "cuMemAloc:1", 1);
    cr_assert_eq(cuInit(0), CUDA_ERROR_INVALID_VALUE);
}

Test(entry, a_bad_size_fails_init)
{
    setenv("SIMGPU_MEMORY", "lots", 1);
    cr_assert_eq(cuInit(0), CUDA_ERROR_INVALID_VALUE);
}

Test(entry, errors_have_names)
{
    const char *text;

    must(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text));
    cr_assert_str_eq(text, "CUDA_ERROR_OUT_OF_MEMORY");
    must(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
    cr_assert_str_eq(text, "out of memory");
    cr_assert_eq(cuGetErrorName((CUresult)12345, &text), CUDA_ERROR_INVALID_VALUE);
    cr_assert_null(text);
}

Test(module, parameters_have_the_layout_of_c)
{
    CUfunction function;
    size_t offset, size;

    start();
    function = kernel("by_value");
    must(cuFuncGetParamInfo(function, 1, &offset, &size));
    cr_assert(offset == 8 && size == 16);
    cr_assert_eq(cuFuncGetParamInfo(function, 2, &offset, &size), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuModuleGetFunction(&function, module(), "no_such"), CUDA_ERROR_NOT_FOUND);
}

Test(module, structures_are_passed_by_value)
{
    struct {
        uint32_t first;
        uint64_t second;
    } pair = {40, 2};
    CUdeviceptr out;
    uint64_t read;

    start();
    must(cuMemAlloc(&out, 8));
    must(launch("by_value", NULL, (void *[]){&out, &pair}));
    pair.second = 0;
    must(cuMemcpyDtoH(&read, out, sizeof read));
    cr_assert_eq(read, 42);
}

Test(module, each_module_has_its_own_globals)
{
    CUmodule other;
    CUfunction count_up;
    CUdeviceptr first, second;
    size_t bytes;
    uint64_t by = 3;
    int value = 0;

    start();
    must(cuModuleLoad(&other, getenv("SIMGPU_TEST_KERNELS")));
    must(cuModuleGetGlobal(&first, &bytes, module(), "counter"));
    must(cuModuleGetGlobal(&second, NULL, other, "counter"));
    cr_assert(bytes == sizeof(int) && first != second);
    must(cuModuleGetFunction(&count_up, other, "count_up"));
    must(cuLaunchKernel(count_up, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&by}, NULL));
    must(cuMemcpyDtoH(&value, second, sizeof value));
    cr_assert_eq(value, 10);
    must(cuMemcpyDtoH(&value, first, sizeof value));
    cr_assert_eq(value, 7);
    cr_assert_eq(cuModuleGetGlobal(&first, &bytes, other, "count_up_params"), CUDA_ERROR_NOT_FOUND);
    must(cuModuleUnload(other));
    cr_assert_eq(cuModuleGetGlobal(&second, NULL, other, "counter"), CUDA_ERROR_INVALID_HANDLE);
    cr_assert_eq(cuMemcpyDtoH(&value, second, sizeof value), CUDA_ERROR_INVALID_VALUE);
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "r");
    char *bytes;
    long size;

    cr_assert(file && fseek(file, 0, SEEK_END) == 0);
    size = ftell(file);
    rewind(file);
    bytes = malloc((size_t)size);
    cr_assert(bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    return bytes;
}

Test(module, an_image_in_memory_is_a_module_and_other_images_are_refused)
{
    char *image = read_all(getenv("SIMGPU_TEST_KERNELS"));
    char fat_binary[16] = "\x50\xed\x55\xba\x01\x00\x10"; /* a header of 16 bytes, without entries */
    CUmodule loaded;
    unsigned count;

    start();
    must(cuModuleLoadData(&loaded, image));
    memset(image, 0, 64);
    must(cuModuleGetFunctionCount(&count, loaded));
    cr_assert_eq(count, 10);
    cr_assert_eq(cuModuleLoadData(&loaded, ".version 8.0\n.target sm_90\n.entry"), CUDA_ERROR_INVALID_PTX);
    cr_assert_eq(cuModuleLoadData(&loaded, fat_binary), CUDA_ERROR_NO_BINARY_FOR_GPU);
    fat_binary[6] = 0;
    cr_assert_eq(cuModuleLoadData(&loaded, fat_binary), CUDA_ERROR_INVALID_IMAGE);
    cr_assert_eq(cuModuleLoadData(&loaded, (void *)64), CUDA_ERROR_INVALID_IMAGE);
    cr_assert_eq(cuModuleLoadData(&loaded, "nonsense"), CUDA_ERROR_INVALID_IMAGE);
    cr_assert_eq(cuModuleLoad(&loaded, "/no/such/file"), CUDA_ERROR_FILE_NOT_FOUND);
}

Test(module, a_library_needs_no_context_and_its_kernels_launch_as_functions)
{
    CUlibrary library;
    CUkernel count_up;
    CUdeviceptr counter;
    CUfunction function;
    const char *name;
    size_t offset, size;
    uint64_t by = 5;
    int value;

    must(cuInit(0));
    must(cuLibraryLoadFromFile(&library, getenv("SIMGPU_TEST_KERNELS"), NULL, NULL, 0, NULL, NULL, 0));
    must(cuLibraryGetKernel(&count_up, library, "count_up"));
    must(cuKernelGetName(&name, count_up));
    cr_assert_str_eq(name, "count_up");
    must(cuKernelGetParamInfo(count_up, 0, &offset, &size));
    cr_assert(offset == 0 && size == 8);
    start();
    cr_assert_eq(cuFuncGetParamInfo((CUfunction)count_up, 0, &offset, &size), CUDA_ERROR_INVALID_HANDLE);
    must(cuLaunchKernel((CUfunction)count_up, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&by}, NULL));
    must(cuKernelGetFunction(&function, count_up));
    must(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&by}, NULL));
    must(cuLibraryGetGlobal(&counter, &size, library, "counter"));
    must(cuMemcpyDtoH(&value, counter, sizeof value));
    cr_assert_eq(value, 17);
    must(cuLibraryUnload(library));
    cr_assert_eq(cuKernelGetFunction(&function, count_up), CUDA_ERROR_INVALID_HANDLE);
}

Test(entry, a_driver_without_virtual_memory_management_says_so_and_refuses_it)
{
    CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    int has = 1;

    setenv("SIMGPU_VMM", "0", 1);
    start();
    must(cuDeviceGetAttribute(&has, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 0));
    cr_assert_eq(has, 0);
    cr_assert_eq(cuMemAddressReserve(&address, GRANULE, 0, 0, 0), CUDA_ERROR_NOT_SUPPORTED);
    cr_assert_eq(cuMemCreate(&handle, GRANULE, &prop, 0), CUDA_ERROR_NOT_SUPPORTED);
    must(cuMemAlloc(&address, GRANULE));
    must(cuMemFree(address));
}

Test(module, texts_that_are_linked_are_a_module)
{
    static const char use[] =
        ".version 6.0\n.target sm_50\n.address_size 64\n"
        ".extern .global .u32 mark;\n.visible .entry set(.param .u32 value)\n{\n"
        "  .reg .b32 %r<2>;\n  ld.param.u32 %r1, [value]; st.global.u32 [mark], %r1; ret;\n}\n";
    static const char have[] =
        ".version 6.0\n.target sm_50\n.address_size 64\n.visible .global .align 4 .u32 mark;\n";
    char log[256] = "x";
    CUjit_option names[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof log}, *image;
    CUlinkState state;
    CUmodule linked;
    CUfunction set;
    CUdeviceptr mark;
    size_t size;
    unsigned value = 77, found = 0;

    start();
    must(cuLinkCreate(2, names, values, &state));
    cr_assert_eq(log[0], 0);
    cr_assert_eq(cuLinkComplete(state, &image, &size), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(cuLinkAddData(state, CU_JIT_INPUT_CUBIN, (void *)"\177ELF", 4, "code", 0, NULL, NULL),
                 CUDA_ERROR_NO_BINARY_FOR_GPU);
    cr_assert(strstr(log, "code:"), "%s", log);
    cr_assert_eq(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)"nonsense", 8, NULL, 0, NULL, NULL),
                 CUDA_ERROR_INVALID_PTX);
    must(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)use, sizeof use, "use", 0, NULL, NULL));
    must(cuLinkAddData(state, CU_JIT_INPUT_PTX, (void *)have, sizeof have - 1, "have", 0, NULL, NULL));
    cr_assert_eq(cuLinkAddFile(state, CU_JIT_INPUT_PTX, "/no/such/file", 0, NULL, NULL),
                 CUDA_ERROR_FILE_NOT_FOUND);
    must(cuLinkComplete(state, &image, &size));
    must(cuModuleLoadData(&linked, image));
    must(cuLinkDestroy(state));
    cr_assert_eq(cuLinkDestroy(state), CUDA_ERROR_INVALID_HANDLE);
    must(cuModuleGetFunction(&set, linked, "set"));
    must(cuLaunchKernel(set, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&value}, NULL));
    must(cuModuleGetGlobal(&mark, &size, linked, "mark"));
    must(cuMemcpyDtoH(&found, mark, sizeof found));
    cr_assert_eq(found, 77);
}
