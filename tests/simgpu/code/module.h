/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules (an instance of an image in a context), functions in them, libraries (an image for all contexts,
 * with a module in each context that uses it) and their kernels. The handles are the addresses of these.
 */
#ifndef SIMGPU_MODULE_H
#define SIMGPU_MODULE_H

#include "code/image.h"
#include "device/context.h"
#include "memory/memory.h"

enum {
    FUNCTION_ATTRIBUTES = CU_FUNC_ATTRIBUTE_MAX
};

struct function {
    const struct image_kernel *layout;
    struct module *module;
    void (*entry)(const struct simgpu_launch *, void **); /* of a shared object */
    const struct ptx_code *code;                          /* of PTX; NULL: not asked for yet */
    int attributes[FUNCTION_ATTRIBUTES];
};

struct module {
    struct module *next; /* all, see modules */
    struct context *context;
    struct image *image;
    struct instance instance;
    struct library *library;    /* NULL: loaded by cuModuleLoad */
    struct function *functions; /* image->kernel_count */
    struct memory **globals;    /* image->global_count */
    uint8_t **addresses;        /* of PTX: of all variables by their id */
};

struct kernel {
    struct library *library;
    unsigned index;                      /* in the image's kernels and each module's functions */
    int attributes[FUNCTION_ATTRIBUTES]; /* set by cuKernelSetAttribute: what new modules start with */
};

struct library {
    struct image *image;
    struct kernel *kernels; /* image->kernel_count */
};

extern struct module *modules;

/* Attributes that a function starts with. */
void function_defaults(int *attributes, const struct image_kernel *layout);

/* One attribute; CUDA_ERROR_INVALID_VALUE if it does not exist, or cannot be set to that. */
CUresult attribute_get(const int *attributes, CUfunction_attribute attribute, int *value);
CUresult attribute_set(int *attributes, CUfunction_attribute attribute, int value);

/* Offset and size of one parameter; CUDA_ERROR_INVALID_VALUE past the last. */
CUresult layout_param(const struct image_kernel *layout, size_t index, size_t *offset, size_t *size);

const char *function_name(const struct function *function);

/* Puts an instance into a context. Drops the lock while it loads. Takes over a reference of the image, also
 * on failure. */
CUresult module_create(struct context *context, struct image *image, struct library *library,
                       struct module **created);

/* Unloads it after its context has drained. Drops the lock. */
void module_destroy(struct module *module);

/* Unloads all modules of a context. */
void module_clear(struct context *context);

/* The global's memory, or CUDA_ERROR_NOT_FOUND. */
CUresult module_global(const struct module *module, const char *name, struct memory **memory);

/* The library's module in the context, loaded if need be. Drops the lock. */
CUresult library_module(struct library *library, struct context *context, struct module **module);

/*
 * Sees to it that the function of PTX has code. Drops the lock while that is made; *function may be another one then, if
 * somebody has unloaded the first. As program_code, and function_of.
 */
CUresult function_ready(CUfunction handle, struct context *context, struct function **function);

/* What a CUfunction handle means in the context: a function, or a kernel cast to one.
 * CUDA_ERROR_INVALID_HANDLE. */
CUresult function_of(CUfunction handle, struct context *context, struct function **function);

/* How many blocks of so many threads and bytes of shared memory a multiprocessor holds. */
int function_blocks(int block, size_t shared);

#endif
