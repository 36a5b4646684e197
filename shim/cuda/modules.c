/* SPDX-License-Identifier: Apache-2.0 */
/* modules.c - see modules.h. */
#include "cuda/modules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/compiler.h"
#include "base/elf_image.h"
#include "base/image_copy.h"
#include "base/lock.h"
#include "cuda/contexts.h"
#include "cuda/kernel_images.h"
#include "engine/core.h"

struct global {
    struct global *next;
    bool is_required; /* the driver must know it */
    char name[];
};

struct loaded {
    struct loaded *next;
    const void *handle; /* CUmodule or CUlibrary */
    bool is_library;
    CUcontext context; /* of a module */
    struct global *globals;
    bool is_short; /* a name found no memory */
};

/* The list, which nobody changes while its globals are visited. Held across calls to the driver and the core's
 * visitor, neither of which loads an image. */
static struct lock lock = LOCK_INIT(LOCK_MODULES);
static struct loaded *list;

/* The driver tells the size together with the address. */
static void keep_global(const char *name, IGNORED uint64_t bytes, bool is_required, void *arg)
{
    struct loaded *loaded = arg;
    struct global *global = malloc(sizeof(*global) + strlen(name) + 1);

    if (!global) {
        loaded->is_short = true;
        return;
    }
    global->is_required = is_required;
    strcpy(global->name, name);
    LL_PREPEND(loaded->globals, global);
}

static void free_loaded(struct loaded *loaded)
{
    struct global *global, *next;

    LL_FOREACH_SAFE(loaded->globals, global, next)
        free(global);
    free(loaded);
}

/* An image while it is read. */
struct reading {
    struct loaded *loaded;
    struct kernel_image *kernels;
    bool uses_heap;
    bool is_unknown; /* what globals it has */
};

static void read_piece(const void *bytes, size_t size, void *arg)
{
    struct reading *reading = arg;
    bool uses_heap = false;

    if (elf_image_read(bytes, size, keep_global, reading->loaded, &uses_heap))
        reading->is_unknown = true;
    reading->uses_heap |= uses_heap;
    kernel_images_read(reading->kernels, bytes, size);
}

/* Globals are remembered, or that they are not known. */
static void keep_loaded(const struct reading *reading)
{
    struct loaded *loaded = reading->loaded;

    if (reading->is_unknown || loaded->is_short) {
        free_loaded(loaded);
        core_roots_unknown("an image is loaded whose symbols cannot be read (PTX, or a fat binary)");
        return;
    }
    if (reading->uses_heap)
        core_roots_unknown("a kernel allocates on the device's heap");
    lock_acquire(&lock);
    LL_PREPEND(list, loaded);
    lock_release(&lock);
}

/* `image` is an address or a path, as `copy` takes it. */
static void note_image(const void *out, bool is_library,
                       int (*copy)(const void *image, bool elf_only, image_piece_fn visit, void *arg),
                       const void *image)
{
    struct reading reading = {.loaded = calloc(1, sizeof(struct loaded)), .kernels = kernel_images_begin()};
    struct place place = {0};
    const void *handle;

    if (!reading.loaded) {
        core_roots_unknown("no memory to read an image");
        kernel_images_drop(reading.kernels);
        return;
    }
    contexts_here(&place);
    memcpy(&handle, out, sizeof(handle));
    reading.loaded->handle = handle;
    reading.loaded->is_library = is_library;
    reading.loaded->context = place.context;
    reading.is_unknown = copy(image, !reading.kernels, read_piece, &reading) != 0 || reading.is_unknown;
    kernel_images_keep(reading.kernels, handle, place.context);
    keep_loaded(&reading);
}

CUresult modules_from_memory(CUresult result, const void *out, bool is_library, const void *image)
{
    if (result == CUDA_SUCCESS && image)
        note_image(out, is_library, image_copy_memory, image);
    return result;
}

CUresult modules_from_file(CUresult result, const void *out, bool is_library, const char *path)
{
    if (result == CUDA_SUCCESS && path)
        note_image(out, is_library, image_copy_file, path);
    return result;
}

void modules_forget(const void *handle)
{
    struct loaded *found;

    lock_acquire(&lock);
    LL_SEARCH_SCALAR(list, found, handle, handle);
    if (found)
        LL_DELETE(list, found);
    lock_release(&lock);
    if (found)
        free_loaded(found);
    kernel_images_forget(handle);
}

/* -ENOENT: the driver knows no such global. */
static int locate(const struct loaded *loaded, const struct global *global, unsigned ordinal,
                  struct root *out)
{
    CUdeviceptr address;
    size_t bytes;
    CUresult result =
        loaded->is_library
            ? real.cuLibraryGetGlobal(&address, &bytes, (CUlibrary)loaded->handle, global->name)
            : real.cuModuleGetGlobal_v2(&address, &bytes, (CUmodule)loaded->handle, global->name);

    if (result != CUDA_SUCCESS)
        return -ENOENT;
    *out = (struct root){.address = address, .bytes = bytes, .ordinal = ordinal};
    return 0;
}

/* The globals of one image on one device, whose context is entered. */
static int visit_image(const struct loaded *loaded, unsigned ordinal, root_visit_fn visit, void *arg,
                       const char **out_why)
{
    int error = 0;

    for (const struct global *global = loaded->globals; !error && global; global = global->next) {
        struct root root;

        if (locate(loaded, global, ordinal, &root) == 0) {
            error = visit(&root, arg);
        } else if (global->is_required) {
            *out_why = "an image has a variable that the driver does not locate";
            error = -ENOTSUP;
        }
    }
    return error;
}

static int visit_device(unsigned ordinal, root_visit_fn visit, void *arg, const char **out_why)
{
    struct entered entered;
    unsigned own;
    int error = context_enter(ordinal, &entered);

    if (error)
        return error == -ENOTSUP ? 0 : error; /* no context, nothing loaded */
    for (const struct loaded *loaded = list; !error && loaded; loaded = loaded->next)
        if (loaded->is_library || (contexts_ordinal_of(loaded->context, &own) && own == ordinal))
            error = visit_image(loaded, ordinal, visit, arg, out_why);
    context_leave(&entered);
    return error;
}

int modules_roots(root_visit_fn visit, void *arg, const char **out_why)
{
    int error = 0;

    lock_acquire(&lock);
    for (unsigned i = 0; !error && list && i < contexts_device_count(); i++)
        error = visit_device(i, visit, arg, out_why);
    lock_release(&lock);
    return error;
}
