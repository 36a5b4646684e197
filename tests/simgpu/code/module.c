/* SPDX-License-Identifier: Apache-2.0 */
#include "code/module.h"

#include "code/variable.h"
#include "driver/handle.h"
#include "stream/capture.h"
#include "stream/fault.h"
#include "stream/op.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

struct module *modules;

/* Finds a function of a shared object. */
static CUresult function_bind(struct function *function)
{
    void *entry = dlsym(function->module->instance.opened, function->layout->name);

    if (!entry)
        return CUDA_ERROR_INVALID_IMAGE;
    memcpy(&function->entry, &entry, sizeof entry);
    return CUDA_SUCCESS;
}

static void touch_bind(const struct instance *instance)
{
    void *symbol = dlsym(instance->opened, "simgpu_bind");
    void (*bind)(void (*)(const void *, size_t));
    void (*bind_time)(void (*)(const void *, size_t, unsigned), void (*)(uint64_t));

    memcpy(&bind, &symbol, sizeof bind);
    if (bind)
        bind(fault_touch);
    symbol = dlsym(instance->opened, "simgpu_bind_time"); /* not in what was built with an older header */
    memcpy(&bind_time, &symbol, sizeof bind_time);
    if (bind_time)
        bind_time(fault_touch_times, fault_take);
}

/* Finds everything in the image and the instance; called without the lock, before anybody knows the module. */
static CUresult module_bind(struct module *module)
{
    const struct image *image = module->image;
    CUresult result = CUDA_SUCCESS;

    if (!image->program)
        touch_bind(&module->instance);
    module->functions = calloc(image->kernel_count + 1, sizeof *module->functions);
    module->globals = calloc(image->global_count + 1, sizeof(struct memory *));
    if (!module->functions || !module->globals)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (unsigned i = 0; i < image->kernel_count && result == CUDA_SUCCESS; i++) {
        struct function *function = &module->functions[i];

        function->layout = &image->kernels[i];
        function->module = module;
        function_defaults(function->attributes, function->layout);
        if (!image->program)
            result = function_bind(function);
    }
    return result;
}

static CUresult handles_add(struct module *module)
{
    if (!handle_add(module, HANDLE_MODULE))
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (unsigned i = 0; i < module->image->kernel_count; i++)
        if (!handle_add(&module->functions[i], HANDLE_FUNCTION))
            return CUDA_ERROR_OUT_OF_MEMORY;
    return CUDA_SUCCESS;
}

static void handles_remove(struct module *module)
{
    if (handle_is(module, HANDLE_MODULE))
        handle_remove(module);
    for (unsigned i = 0; module->functions && i < module->image->kernel_count; i++)
        if (handle_is(&module->functions[i], HANDLE_FUNCTION))
            handle_remove(&module->functions[i]);
}

static void module_free(struct module *module)
{
    variables_forget(module);
    handles_remove(module);
    sim_unlock();
    if (module->instance.opened)
        image_close(&module->instance);
    sim_lock();
    image_drop(module->image);
    free(module->functions);
    free(module->globals);
    free(module);
}

CUresult module_create(struct context *context, struct image *image, struct library *library,
                       struct module **created)
{
    struct module *module = calloc(1, sizeof *module);
    CUresult result;

    if (!module) {
        image_drop(image);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    module->context = context;
    module->image = image;
    module->library = library;
    sim_unlock();
    result = image->program ? CUDA_SUCCESS : image_open(image, &module->instance);
    if (result == CUDA_SUCCESS)
        result = module_bind(module);
    sim_lock();
    if (result == CUDA_SUCCESS)
        result = variables_add(module);
    if (result == CUDA_SUCCESS)
        result = handles_add(module);
    if (result == CUDA_SUCCESS && !context->alive)
        result = CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (result != CUDA_SUCCESS) {
        module_free(module);
        return result;
    }
    module->next = modules;
    modules = module;
    *created = module;
    return CUDA_SUCCESS;
}

void module_destroy(struct module *module)
{
    struct module **link = &modules;

    while (*link != module)
        link = &(*link)->next;
    *link = module->next;
    op_drain(module->context, NULL);
    module_free(module);
}

void module_clear(struct context *context)
{
    struct module *module = modules;

    while (module) {
        if (module->context == context) {
            module_destroy(module);
            module = modules;
        } else {
            module = module->next;
        }
    }
}

CUresult module_global(const struct module *module, const char *name, struct memory **memory)
{
    for (unsigned i = 0; i < module->image->global_count; i++) {
        if (strcmp(module->image->globals[i].name, name) == 0) {
            *memory = module->globals[i];
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_NOT_FOUND;
}

static CUresult module_load(CUresult read, struct image *image, CUmodule *created)
{
    struct context *context;
    struct module *module;
    CUresult result = read;

    if (result != CUDA_SUCCESS)
        return result;
    sim_lock();
    context = context_current();
    result = capture_forbid();
    if (result == CUDA_SUCCESS)
        result = module_create(context, image, NULL, &module);
    else
        image_drop(image);
    if (result == CUDA_SUCCESS)
        *created = (CUmodule)module;
    return sim_leave(result);
}

CUresult sim_cuModuleLoad(CUmodule *module, const char *path)
{
    struct image *image = NULL;
    CUresult result;

    if (!module || !path)
        return CUDA_ERROR_INVALID_VALUE;
    result = image_read_file(path, &image);
    return module_load(result, image, module);
}

CUresult sim_cuModuleLoadData(CUmodule *module, const void *data)
{
    struct image *image = NULL;
    CUresult result;

    if (!module || !data)
        return CUDA_ERROR_INVALID_VALUE;
    result = image_read_data(data, &image);
    return module_load(result, image, module);
}

CUresult sim_cuModuleLoadDataEx(CUmodule *module, const void *data, unsigned count,
                                CUjit_option *options_given, void **values)
{
    /* They steer a compiler that is not here. */
    (void)count, (void)options_given, (void)values;
    return sim_cuModuleLoadData(module, data);
}

CUresult sim_cuModuleLoadFatBinary(CUmodule *module, const void *data)
{
    return sim_cuModuleLoadData(module, data);
}

CUresult sim_cuModuleUnload(CUmodule handle)
{
    struct module *module = (struct module *)handle;

    sim_lock();
    if (!handle_is(module, HANDLE_MODULE) || module->library)
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    module_destroy(module);
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_LAZY_LOADING;
    return CUDA_SUCCESS;
}

CUresult sim_cuModuleGetFunction(CUfunction *found, CUmodule handle, const char *name)
{
    struct module *module = (struct module *)handle;
    CUresult result = CUDA_ERROR_NOT_FOUND;

    if (!found || !name)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(module, HANDLE_MODULE))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    for (unsigned i = 0; i < module->image->kernel_count; i++) {
        if (strcmp(module->image->kernels[i].name, name) == 0) {
            *found = (CUfunction)&module->functions[i];
            result = CUDA_SUCCESS;
        }
    }
    return sim_leave(result);
}

CUresult sim_cuModuleGetFunctionCount(unsigned *count, CUmodule handle)
{
    struct module *module = (struct module *)handle;

    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(module, HANDLE_MODULE))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    *count = module->image->kernel_count;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuModuleEnumerateFunctions(CUfunction *functions, unsigned count, CUmodule handle)
{
    struct module *module = (struct module *)handle;

    if (!functions)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(module, HANDLE_MODULE))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    for (unsigned i = 0; i < count && i < module->image->kernel_count; i++)
        functions[i] = (CUfunction)&module->functions[i];
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule handle, const char *name)
{
    struct module *module = (struct module *)handle;
    struct memory *memory;
    CUresult result;

    if (!name || (!address && !bytes))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    if (!handle_is(module, HANDLE_MODULE))
        return sim_leave(CUDA_ERROR_INVALID_HANDLE);
    result = module_global(module, name, &memory);
    if (result == CUDA_SUCCESS && address)
        *address = memory->start;
    if (result == CUDA_SUCCESS && bytes)
        *bytes = memory->size;
    return sim_leave(result);
}
