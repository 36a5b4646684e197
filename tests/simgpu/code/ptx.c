/* SPDX-License-Identifier: Apache-2.0 */
#include "code/ptx.h"

#include "machine/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* False when memory is out. */
static bool read_params(const struct ptx_function *function, struct image_kernel *kernel)
{
    struct simgpu_param *params = calloc(function->parameter_count + 1, sizeof *params);
    unsigned count = 0;

    if (!params)
        return false;
    for (const struct ptx_symbol *symbol = function->parameters; symbol; symbol = symbol->next)
        params[count++] = (struct simgpu_param){symbol->offset, symbol->bytes};
    kernel->params = params;
    kernel->param_count = count;
    kernel->buffer_bytes = function->parameter_bytes;
    return true;
}

static CUresult read_kernels(struct image *image)
{
    const struct ptx_module *module = program_module(image->program);
    unsigned count = program_entries(image->program);

    image->kernels = calloc(count + 1, sizeof *image->kernels);
    if (!image->kernels)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (; image->kernel_count < count; image->kernel_count++) {
        const struct ptx_function *function = program_entry(image->program, image->kernel_count);
        const struct ptx_facts *facts = program_facts(image->program, image->kernel_count);
        struct image_kernel *kernel = &image->kernels[image->kernel_count];

        *kernel = (struct image_kernel){.name = function->name,
                                        .ptx_version = (int)module->target,
                                        .registers = (int)facts->registers,
                                        .threads_max = (int)function->threads_max,
                                        .shared_bytes = facts->shared_bytes,
                                        .local_bytes = facts->local_bytes,
                                        .constant_bytes = facts->constant_bytes};
        if (function->parameter_count > KERNEL_PARAMS_MAX || function->parameter_bytes > KERNEL_BYTES_MAX) {
            fprintf(stderr, "simgpu: PTX: %s has too many parameters\n", function->name);
            return CUDA_ERROR_INVALID_PTX;
        }
        if (!read_params(function, kernel))
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return CUDA_SUCCESS;
}

/* What lies in a device's memory, as one that has no bytes does not. */
static CUresult read_globals(struct image *image)
{
    const struct ptx_module *module = program_module(image->program);

    image->globals = calloc(module->variable_count + 1, sizeof *image->globals);
    if (!image->globals)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (const struct ptx_symbol *variable = module->variables; variable; variable = variable->next)
        if ((variable->space == SPACE_GLOBAL || variable->space == SPACE_CONSTANT) && variable->bytes)
            image->globals[image->global_count++] =
                (struct image_global){variable->name, variable->bytes, variable, variable->is_managed};
    return CUDA_SUCCESS;
}

static bool has_kernel(const struct image *image, const char *name, size_t length)
{
    for (unsigned i = 0; i < image->kernel_count; i++)
        if (strlen(image->kernels[i].name) == length && memcmp(image->kernels[i].name, name, length) == 0)
            return true;
    return false;
}

/* Has the image every entry of the text, and the text one at all? */
static bool stands_for(const struct image *image, const char *text)
{
    unsigned count = 0;

    for (const char *entry = text; (entry = strstr(entry, ".entry")); count++) {
        entry += strlen(".entry");
        entry += strspn(entry, " \t\r\n");
        if (!has_kernel(image, entry, strcspn(entry, " \t\r\n(")))
            return false;
    }
    return count > 0;
}

/* The shared object that SIMGPU_PTX names, if it has all entries of the text, which nobody reads further then; NULL. */
static struct image *stand_in(const char *text)
{
    struct image *image;

    if (!options.ptx || image_read_file(options.ptx, &image) != CUDA_SUCCESS)
        return NULL;
    if (stands_for(image, text))
        return image;
    image_drop(image);
    return NULL;
}

CUresult ptx_read(const char *text, struct image **read_image)
{
    struct image *image = stand_in(text);
    CUresult result;

    if (image) {
        *read_image = image;
        return CUDA_SUCCESS;
    }
    image = calloc(1, sizeof *image);
    if (!image)
        return CUDA_ERROR_OUT_OF_MEMORY;
    image->refs = 1;
    result = program_create(text, &image->program);
    if (result != CUDA_SUCCESS) {
        free(image);
        return result;
    }
    result = read_kernels(image);
    if (result == CUDA_SUCCESS)
        result = read_globals(image);
    if (result != CUDA_SUCCESS)
        image_drop(image);
    else
        *read_image = image;
    return result;
}
