/* SPDX-License-Identifier: Apache-2.0 */
/* modules.c - see modules.h. */
#include "cuda/modules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/image_copy.h"
#include "base/image_variables.h"
#include "base/lock.h"
#include "cuda/contexts.h"
#include "cuda/kernel_images.h"
#include "engine/core.h"

struct global {
    struct global *next;
    uint64_t
        versions; /* of the code, one bit for each: the driver must know it if it has taken one of these */
    char name[];
};

struct loaded {
    struct loaded *next;
    const void *handle; /* CUmodule or CUlibrary */
    bool is_library;
    CUcontext context; /* of a module */
    bool is_visited;   /* in this visit */
    struct global *globals;
    uint64_t versions; /* of which the driver has taken one */
};

/* The list, which nobody changes while its globals are visited. Held across calls to the driver and the core's
 * visitor, neither of which loads an image. */
static struct lock lock = LOCK_INIT(LOCK_MODULES);
static struct loaded *list;

static void free_loaded(struct loaded *loaded)
{
    struct global *global, *next;

    LL_FOREACH_SAFE(loaded->globals, global, next)
        free(global);
    free(loaded);
}

static const char no_memory[] = "no memory to read an image";

/* An image while it is read. */
struct reading {
    struct loaded *loaded; /* NULL: nobody asks for its variables */
    struct kernel_image *kernels;
    struct image_target target;
    struct image_facts facts;
    unsigned versions, pieces;
    const char *why; /* its variables are not known; NULL: they are */
};

static void begin_version(void *arg)
{
    struct reading *reading = arg;

    reading->loaded->versions |= UINT64_C(1) << reading->versions++;
}

/* The driver tells the size together with the address. */
static void keep_global(const struct image_variable *variable, void *arg)
{
    struct reading *reading = arg;
    struct global *global = malloc(sizeof(*global) + variable->name_bytes + 1);

    if (!global) {
        reading->why = no_memory;
        return;
    }
    global->versions = variable->is_required ? UINT64_C(1) << (reading->versions - 1) : 0;
    memcpy(global->name, variable->name, variable->name_bytes);
    global->name[variable->name_bytes] = 0;
    LL_PREPEND(reading->loaded->globals, global);
}

/* Pieces beyond the first are linked by the driver, which makes names of its own of those that two of them have. */
static void read_piece(const void *bytes, size_t size, void *arg)
{
    struct reading *reading = arg;

    if (reading->loaded &&
        (reading->pieces++ || image_variables_read(bytes, size, &reading->target, begin_version, keep_global,
                                                   reading, &reading->facts)))
        reading->why = "an image is loaded whose variables cannot be read";
    kernel_images_read(reading->kernels, bytes, size);
}

/* What an option or the environment makes the driver take. */
static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value && *value && strcmp(value, "0") != 0;
}

static void find_target(struct image_target *out)
{
    _Static_assert((int)DEVICE_MAX <= (int)IMAGE_PROCESSORS_MAX, "one of each device");
    out->prefers_text = is_set("CUDA_FORCE_PTX_JIT") || is_set("CUDA_FORCE_JIT");
    for (unsigned i = 0; i < contexts_device_count(); i++) {
        int major = 0, minor = 0;

        real.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, contexts_device(i));
        real.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, contexts_device(i));
        out->arch[out->count++] = (unsigned)(major * 10 + minor);
    }
}

static int by_name(const void *left, const void *right)
{
    const struct global *a = *(const struct global *const *)left, *b = *(const struct global *const *)right;
    int order = strcmp(a->name, b->name);

    return order ? order : (a->versions > b->versions) - (a->versions < b->versions);
}

/* Of two that have one name the driver locates one. A linker leaves them: each part may keep names to itself. */
static const char *look_for_twins(const struct loaded *loaded)
{
    const struct global *global, **all;
    size_t count = 0, twins = 0;

    LL_FOREACH(loaded->globals, global)
        count++;
    all = malloc((count + 1) * sizeof(*all));
    if (!all)
        return no_memory;
    count = 0;
    LL_FOREACH(loaded->globals, global)
        all[count++] = global;
    qsort(all, count, sizeof(*all), by_name);
    for (size_t i = 1; i < count; i++)
        twins += all[i]->versions && by_name(&all[i], &all[i - 1]) == 0;
    free(all);
    return twins ? "an image has two variables of one name" : NULL;
}

/* Globals are remembered, or that they are not known. */
static void keep_loaded(struct reading *reading)
{
    struct loaded *loaded = reading->loaded;

    reading->why = reading->why ? reading->why : look_for_twins(loaded);
    if (reading->why) {
        free_loaded(loaded);
        core_roots_unknown(reading->why);
        return;
    }
    if (reading->facts.uses_heap)
        core_roots_unknown("a kernel allocates on the device's heap");
    if (reading->facts.has_managed)
        core_roots_unknown("an image has managed variables, which kernels read and the CPU writes");
    lock_acquire(&lock);
    LL_PREPEND(list, loaded);
    lock_release(&lock);
}

static struct loaded *begin_loaded(const void *handle, bool is_library, CUcontext context)
{
    struct loaded *loaded = calloc(1, sizeof(*loaded));

    if (loaded)
        *loaded = (struct loaded){.handle = handle, .is_library = is_library, .context = context};
    else
        core_roots_unknown(no_memory);
    return loaded;
}

/* `image` is an address or a path, as `copy` takes it. */
static void note_image(const void *out, bool is_library,
                       int (*copy)(const void *image, image_piece_fn visit, void *arg), const void *image)
{
    struct reading reading = {.kernels = kernel_images_begin()};
    struct place place = {0};
    const void *handle;

    contexts_here(&place);
    memcpy(&handle, out, sizeof(handle));
    if (core_roots_wanted() && (reading.loaded = begin_loaded(handle, is_library, place.context)))
        find_target(&reading.target);
    if ((reading.loaded || reading.kernels) && copy(image, read_piece, &reading))
        reading.why = "an image is loaded whose variables cannot be read";
    kernel_images_keep(reading.kernels, handle, place.context);
    if (reading.loaded)
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

void modules_context_gone(CUcontext context)
{
    struct loaded *gone = NULL, *loaded, *next;

    lock_acquire(&lock);
    LL_FOREACH_SAFE(list, loaded, next)
        if (!loaded->is_library && loaded->context == context) {
            LL_DELETE(list, loaded);
            LL_PREPEND(gone, loaded);
        }
    lock_release(&lock);
    LL_FOREACH_SAFE(gone, loaded, next)
        free_loaded(loaded);
    kernel_images_context_gone(context);
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

/* The globals of one image in the current context. */
static int visit_image(const struct loaded *loaded, unsigned ordinal, root_visit_fn visit, void *arg,
                       const char **out_why)
{
    uint64_t taken = loaded->versions; /* may the driver have */
    int error = 0;

    for (const struct global *global = loaded->globals; !error && global; global = global->next) {
        struct root root;

        if (locate(loaded, global, ordinal, &root) == 0)
            error = visit(&root, arg);
        else
            taken &= ~global->versions;
    }
    if (!error && !taken) {
        *out_why = "an image has a variable that the driver does not locate";
        error = -ENOTSUP;
    }
    return error;
}

struct visit {
    root_visit_fn visit;
    void *arg;
    const char **out_why;
};

static CUcontext context_of(const struct context *context)
{
    CUcontext handle = context->handle;

    if (context->green &&
        (!real.cuCtxFromGreenCtx || real.cuCtxFromGreenCtx(&handle, context->green) != CUDA_SUCCESS))
        handle = NULL;
    return handle;
}

/* A library has its globals in each context, a module in its own. */
static int visit_context(const struct context *context, void *arg)
{
    const struct visit *visit = arg;
    CUcontext handle = context_of(context), popped;
    struct loaded *loaded;
    int error = 0;

    if (!handle || real.cuCtxPushCurrent_v2(handle) != CUDA_SUCCESS)
        return -EIO;
    LL_FOREACH(list, loaded)
        if (!error && (loaded->is_library || loaded->context == handle)) {
            loaded->is_visited = true;
            error = visit_image(loaded, context->ordinal, visit->visit, visit->arg, visit->out_why);
        }
    real.cuCtxPopCurrent_v2(&popped);
    return error;
}

static int visit_all(struct visit *visit)
{
    struct loaded *loaded;
    int error;

    LL_FOREACH(list, loaded)
        loaded->is_visited = loaded->is_library;
    error = contexts_each(visit_context, visit);
    LL_FOREACH(list, loaded)
        if (!error && !loaded->is_visited) {
            *visit->out_why = "an image belongs to a context that is not known";
            error = -ENOTSUP;
        }
    return error;
}

int modules_roots(root_visit_fn visit, void *arg, const char **out_why)
{
    int error = 0;

    lock_acquire(&lock);
    if (list) {
        CUstreamCaptureMode mode = quiet_begin();

        error = visit_all(&(struct visit){visit, arg, out_why});
        quiet_end(mode);
    }
    lock_release(&lock);
    return error;
}
