/* SPDX-License-Identifier: Apache-2.0 */
#include "code/variable.h"

#include "memory/native.h"

#include <dlfcn.h>
#include <stdlib.h>

/* Copies and pointer queries find it as memory of the module's device; its place is its address. */
static struct memory *add_loaded(struct module *module, const struct image_global *global)
{
    uintptr_t start = (uintptr_t)dlsym(module->instance.opened, global->name);
    struct memory *memory;

    if (!start)
        return NULL;
    memory = memory_add(start, global->size, MEMORY_GLOBAL, module->context->device->ordinal, start);
    if (memory)
        memory->context = module->context;
    return memory;
}

static struct memory *add_taken(struct module *module, const struct image_global *global)
{
    enum memory_kind kind = global->is_managed ? MEMORY_MANAGED : MEMORY_GLOBAL;
    struct memory *memory;

    if (native_take(module->context, global->size, kind, NULL, &memory) != CUDA_SUCCESS)
        return NULL;
    if (global->is_managed)
        memory->flags = CU_MEM_ATTACH_GLOBAL;
    module->addresses[global->variable->id] = (uint8_t *)memory->start;
    return memory;
}

CUresult variables_add(struct module *module)
{
    const struct image *image = module->image;

    if (image->program) {
        module->addresses =
            calloc(program_module(image->program)->variable_count + 1, sizeof *module->addresses);
        if (!module->addresses)
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    for (unsigned i = 0; i < image->global_count; i++) {
        const struct image_global *global = &image->globals[i];

        module->globals[i] = image->program ? add_taken(module, global) : add_loaded(module, global);
        if (!module->globals[i])
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    for (unsigned i = 0; image->program && i < image->global_count; i++)
        program_initial(image->program, image->globals[i].variable, module->addresses,
                        (uint8_t *)module->globals[i]->start);
    return CUDA_SUCCESS;
}

void variables_forget(struct module *module)
{
    for (unsigned i = 0; module->globals && i < module->image->global_count; i++) {
        if (!module->globals[i])
            continue;
        if (module->image->program)
            native_give(module->globals[i]);
        else
            memory_remove(module->globals[i]);
    }
    free(module->addresses);
}
