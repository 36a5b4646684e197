/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries and kernels: the same images, known without a context. */
#include "code/module.h"
#include "driver/handle.h"
#include "stream/op.h"

#include <stdlib.h>
#include <string.h>

static CUresult library_create(CUresult read, struct image *image, CUlibrary *created)
{
    struct library *library;
    bool good;

    if (read != CUDA_SUCCESS)
        return read;
    library = calloc(1, sizeof *library);
    sim_lock();
    if (library)
        library->kernels = calloc(image->kernel_count + 1, sizeof *library->kernels);
    good = library && library->kernels && handle_add(library, HANDLE_LIBRARY);
    for (unsigned i = 0; good && i < image->kernel_count; i++) {
        library->kernels[i].library = library;
        library->kernels[i].index = i;
        function_defaults(library->kernels[i].attributes, &image->kernels[i]);
        good = handle_add(&library->kernels[i], HANDLE_KERNEL);
    }
    if (!good) {
        for (unsigned i = 0; library && library->kernels && i < image->kernel_count; i++)
            if (handle_is(&library->kernels[i], HANDLE_KERNEL))
                handle_remove(&library->kernels[i]);
        if (handle_is(library, HANDLE_LIBRARY))
            handle_remove(library);
        free(library ? library->kernels : NULL);
        free(library);
        image_drop(image);
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    library->image = image;
    *created = (CUlibrary)library;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuLibraryLoadFromFile(CUlibrary *library, const char *path, CUjit_option *jit, void **jit_values,
                                   unsigned jit_count, CUlibraryOption *library_options, void **values,
                                   unsigned count)
{
    struct image *image = NULL;
    CUresult result;

    (void)jit, (void)jit_values, (void)jit_count, (void)library_options, (void)values, (void)count;
    if (!library || !path)
        return CUDA_ERROR_INVALID_VALUE;
    result = image_read_file(path, &image);
    return library_create(result, image, library);
}

CUresult sim_cuLibraryLoadData(CUlibrary *library, const void *data, CUjit_option *jit, void **jit_values,
                               unsigned jit_count, CUlibraryOption *library_options, void **values,
                               unsigned count)
{
    struct image *image = NULL;
    CUresult result;

    (void)jit, (void)jit_values, (void)jit_count, (void)library_options, (void)values, (void)count;
    if (!library || !data)
        return CUDA_ERROR_INVALID_VALUE;
    result = image_read_data(data, &image);
    return library_create(result, image, library);
}

CUresult sim_cuLibraryUnload(CUlibrary handle)
{
    struct library *library = (struct library *)handle;

    sim_lock();
    if (!handle_is(library, HANDLE_LIBRARY))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    handle_remove(library);
    for (unsigned i = 0; i < library->image->kernel_count; i++)
        handle_remove(&library->kernels[i]);
    for (struct module *module = modules; module;) {
        if (module->library == library) {
            module_destroy(module);
            module = modules;
        } else {
            module = module->next;
        }
    }
    image_drop(library->image);
    free(library->kernels);
    free(library);
    return sim_leave(CUDA_SUCCESS);
}

CUresult library_module(struct library *library, struct context *context, struct module **found)
{
    CUresult result;

    for (struct module *module = modules; module; module = module->next) {
        if (module->library == library && module->context == context) {
            *found = module;
            return CUDA_SUCCESS;
        }
    }
    image_hold(library->image);
    result = module_create(context, library->image, library, found);
    if (result != CUDA_SUCCESS)
        return result;
    for (unsigned i = 0; i < library->image->kernel_count; i++)
        memcpy((*found)->functions[i].attributes, library->kernels[i].attributes,
               sizeof library->kernels[i].attributes);
    return CUDA_SUCCESS;
}

CUresult function_of(CUfunction handle, struct context *context, struct function **function)
{
    struct kernel *kernel = (struct kernel *)handle;
    struct module *module;
    CUresult result;

    if (handle_is(handle, HANDLE_FUNCTION)) {
        *function = (struct function *)handle;
        return (*function)->module->context == context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
    }
    if (!handle_is(handle, HANDLE_KERNEL))
        return CUDA_ERROR_INVALID_HANDLE;
    result = library_module(kernel->library, context, &module);
    if (result == CUDA_SUCCESS)
        *function = &module->functions[kernel->index];
    return result;
}

CUresult function_ready(CUfunction handle, struct context *context, struct function **function)
{
    CUresult result = function_of(handle, context, function);

    while (result == CUDA_SUCCESS && (*function)->module->image->program && !(*function)->code) {
        struct image *image = (*function)->module->image;
        unsigned number = (unsigned)(*function - (*function)->module->functions);
        const struct ptx_code *code;

        image_hold(image);
        sim_unlock();
        result = program_code(image->program, number, &code);
        sim_lock();
        if (result == CUDA_SUCCESS)
            result = function_of(handle, context, function);
        if (result == CUDA_SUCCESS && (*function)->module->image == image)
            (*function)->code = code;
        image_drop(image);
    }
    return result;
}

CUresult sim_cuLibraryGetKernel(CUkernel *found, CUlibrary handle, const char *name)
{
    struct library *library = (struct library *)handle;
    CUresult result = CUDA_ERROR_NOT_FOUND;

    if (!found || !name)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(library, HANDLE_LIBRARY))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    for (unsigned i = 0; i < library->image->kernel_count; i++) {
        if (strcmp(library->image->kernels[i].name, name) == 0) {
            *found = (CUkernel)&library->kernels[i];
            result = CUDA_SUCCESS;
        }
    }
    return sim_leave(result);
}

CUresult sim_cuLibraryGetKernelCount(unsigned *count, CUlibrary handle)
{
    struct library *library = (struct library *)handle;

    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(library, HANDLE_LIBRARY))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    *count = library->image->kernel_count;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuLibraryEnumerateKernels(CUkernel *kernels, unsigned count, CUlibrary handle)
{
    struct library *library = (struct library *)handle;

    if (!kernels)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(library, HANDLE_LIBRARY))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    for (unsigned i = 0; i < count && i < library->image->kernel_count; i++)
        kernels[i] = (CUkernel)&library->kernels[i];
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuLibraryGetModule(CUmodule *found, CUlibrary handle)
{
    struct library *library = (struct library *)handle;
    struct module *module;
    CUresult result;

    if (!found)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(library, HANDLE_LIBRARY))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    result = library_module(library, context_current(), &module);
    if (result == CUDA_SUCCESS)
        *found = (CUmodule)module;
    return sim_leave(result);
}

CUresult sim_cuLibraryGetGlobal(CUdeviceptr *address, size_t *bytes, CUlibrary handle, const char *name)
{
    struct library *library = (struct library *)handle;
    struct module *module;
    struct memory *memory;
    CUresult result;

    if (!name || (!address && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(library, HANDLE_LIBRARY))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    result = library_module(library, context_current(), &module);
    if (result == CUDA_SUCCESS)
        result = module_global(module, name, &memory);
    if (result == CUDA_SUCCESS && address)
        *address = memory->start;
    if (result == CUDA_SUCCESS && bytes)
        *bytes = memory->size;
    return sim_leave(result);
}

CUresult sim_cuLibraryGetManaged(CUdeviceptr *address, size_t *bytes, CUlibrary handle, const char *name)
{
    (void)address, (void)bytes;
    sim_lock();
    if (!handle_is(handle, HANDLE_LIBRARY) || !name)
        return sim_leave(handle_is(handle, HANDLE_LIBRARY) ? CUDA_ERROR_INVALID_VALUE
                                                           : CUDA_ERROR_INVALID_HANDLE);
    return sim_leave(CUDA_ERROR_NOT_FOUND); /* a C object marks no variable as managed */
}

/* A function that host and device share needs a machine on which they share code. */
CUresult sim_cuLibraryGetUnifiedFunction(void **function, CUlibrary handle, const char *name)
{
    if (!function || !name)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    return sim_leave(handle_is(handle, HANDLE_LIBRARY) ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_HANDLE);
}

/* The kernel of a handle, with the lock held; without a lock to give back otherwise. */
static struct kernel *kernel_lock(CUkernel handle)
{
    sim_lock();
    if (handle_is(handle, HANDLE_KERNEL))
        return (struct kernel *)handle;
    sim_unlock();
    return NULL;
}

CUresult sim_cuKernelGetFunction(CUfunction *found, CUkernel handle)
{
    struct kernel *kernel = kernel_lock(handle);
    struct function *function;
    CUresult result;

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    result = found ? function_of((CUfunction)kernel, context_current(), &function) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *found = (CUfunction)function;
    return sim_leave(result);
}

CUresult sim_cuKernelGetLibrary(CUlibrary *library, CUkernel handle)
{
    struct kernel *kernel = kernel_lock(handle);

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!library)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *library = (CUlibrary)kernel->library;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuKernelGetName(const char **name, CUkernel handle)
{
    struct kernel *kernel = kernel_lock(handle);

    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!name)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *name = kernel->library->image->kernels[kernel->index].name;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuKernelGetParamInfo(CUkernel handle, size_t index, size_t *offset, size_t *size)
{
    struct kernel *kernel = kernel_lock(handle);

    return kernel
               ? sim_leave(layout_param(&kernel->library->image->kernels[kernel->index], index, offset, size))
               : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sim_cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel handle,
                                  CUdevice device)
{
    struct kernel *kernel;

    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    kernel = kernel_lock(handle);
    return kernel ? sim_leave(attribute_get(kernel->attributes, attribute, value))
                  : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sim_cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel handle, CUdevice device)
{
    struct kernel *kernel;
    CUresult result;

    if (!device_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    kernel = kernel_lock(handle);
    if (!kernel)
        return CUDA_ERROR_INVALID_HANDLE;
    result = attribute_set(kernel->attributes, attribute, value);
    for (struct module *module = modules; module && result == CUDA_SUCCESS; module = module->next)
        if (module->library == kernel->library && module->context->device->ordinal == device)
            result = attribute_set(module->functions[kernel->index].attributes, attribute, value);
    return sim_leave(result);
}

CUresult sim_cuKernelSetCacheConfig(CUkernel handle, CUfunc_cache config, CUdevice device)
{
    struct kernel *kernel;

    if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_at(device))
        return CUDA_ERROR_INVALID_DEVICE;
    kernel = kernel_lock(handle);
    return kernel ? sim_leave(CUDA_SUCCESS) : CUDA_ERROR_INVALID_HANDLE;
}
