/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_images.c - see kernel_images.h. */
#include "cuda/kernel_images.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/kernel_image.h"
#include "base/lock.h"
#include "base/table.h"
#include "cuda/contexts.h"

/* A kernel's name is told by its hash: of millions no two are likely to be alike. */
struct named {
    uint64_t name;
    uint32_t first; /* parameter */
    uint32_t count; /* DISPUTED: the image says this and that */
};

#define DISPUTED UINT32_MAX

/* Something that grows while an image is read. */
struct row {
    void *items;
    size_t count, room;
};

struct kernel_image {
    struct kernel_image *next;
    uint64_t owner;
    uint64_t same_as;  /* the library that this module is of; 0: none */
    CUcontext context; /* of a module's functions */
    struct row named;  /* by name, once it is kept */
    struct row parameters;
    uint32_t majors;
    bool is_short; /* of memory */
};

/* A function that was handed out. */
struct handed {
    uint64_t image; /* its owner */
    uint64_t name;
    uint64_t owner;    /* of the function; 0: not known */
    CUcontext context; /* NULL: in none, as a library's kernel */
    bool is_kernel;
};

static struct lock lock = LOCK_INIT(LOCK_KERNEL_IMAGES);
static struct kernel_image *list;
static struct table functions = TABLE_INIT(struct handed);

/* ---- reading ------------------------------------------------------------------------------------------------- */

enum {
    TOLD_SINCE = 12040
};

static bool are_wanted(void)
{
    static _Atomic int known;
    int version = atomic_load_explicit(&known, memory_order_relaxed);

    if (!version && real.cuDriverGetVersion && real.cuDriverGetVersion(&version) == CUDA_SUCCESS)
        atomic_store_explicit(&known, version, memory_order_relaxed);
    return version < TOLD_SINCE || !real.cuFuncGetParamInfo;
}

static uint32_t majors_here(void)
{
    uint32_t majors = 0;

    for (unsigned i = 0; i < contexts_device_count(); i++) {
        int major = 0;

        if (real.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                                      contexts_device(i)) == CUDA_SUCCESS &&
            major > 0 && major < 32)
            majors |= UINT32_C(1) << major;
    }
    return majors;
}

struct kernel_image *kernel_images_begin(void)
{
    struct kernel_image *image = are_wanted() ? calloc(1, sizeof(*image)) : NULL;

    if (image)
        image->majors = majors_here();
    return image;
}

/* Room for `count` more items. NULL: there is none. */
static void *row_add(struct row *row, size_t count, size_t item_bytes)
{
    size_t room = row->room;
    void *items = row->items;

    while (room - row->count < count)
        room = room ? room * 2 : 64;
    if (room != row->room)
        items = realloc(row->items, room * item_bytes);
    if (!items)
        return NULL;
    row->items = items;
    row->room = room;
    row->count += count;
    return (char *)items + (row->count - count) * item_bytes;
}

static void note(const struct kernel_shape *shape, void *arg)
{
    struct kernel_image *image = arg;
    struct named *named = row_add(&image->named, 1, sizeof(*named));
    struct kernel_parameter *parameter = row_add(&image->parameters, shape->count, sizeof(*parameter));

    if (!named || (shape->count && !parameter)) {
        image->is_short = true;
        return;
    }
    *named = (struct named){XXH3_64bits(shape->name, shape->name_bytes),
                            (uint32_t)(image->parameters.count - shape->count), shape->count};
    if (shape->count)
        memcpy(parameter, shape->parameter, shape->count * sizeof(*parameter));
}

void kernel_images_read(struct kernel_image *image, const void *bytes, size_t size)
{
    if (image)
        kernel_image_read(bytes, size, image->majors, note, image);
}

static int by_name(const void *left, const void *right)
{
    const struct named *a = left, *b = right;

    return (a->name > b->name) - (a->name < b->name);
}

static bool are_alike(const struct kernel_image *image, const struct named *a, const struct named *b)
{
    const struct kernel_parameter *parameter = image->parameters.items;

    return a->count == b->count && a->count != DISPUTED &&
           (!a->count || !memcmp(parameter + a->first, parameter + b->first, a->count * sizeof(*parameter)));
}

/* Each name once. What was made for several processors is said several times, and must be the same. */
static void sort(struct kernel_image *image)
{
    struct named *named = image->named.items;
    size_t count = 0;

    if (!image->named.count)
        return;
    qsort(named, image->named.count, sizeof(*named), by_name);
    for (size_t i = 1; i < image->named.count; i++)
        if (named[i].name != named[count].name)
            named[++count] = named[i];
        else if (!are_alike(image, &named[i], &named[count]))
            named[count].count = DISPUTED;
    image->named.count = count + 1;
}

void kernel_images_drop(struct kernel_image *image)
{
    if (!image)
        return;
    free(image->named.items);
    free(image->parameters.items);
    free(image);
}

/* ---- images that are loaded ------------------------------------------------------------------------------------ */

/* Lock held. */
static struct kernel_image *find_image(uint64_t owner)
{
    struct kernel_image *found;

    LL_SEARCH_SCALAR(list, found, owner, owner);
    return found;
}

/* Of an image, or of a context; 0 and NULL: of none. */
static void forget_functions(uint64_t image, CUcontext context)
{
    struct table_copy copy;

    if (!are_wanted() || table_copy(&functions, &copy))
        return;
    for (uint32_t i = 0; i < copy.count; i++) {
        const struct handed *handed = table_copy_record(&copy, i);
        struct handed taken;

        if (handed->image == image || (context && handed->context == context))
            table_take(&functions, table_copy_key(&copy, i), &taken);
    }
    table_copy_free(&copy);
}

void kernel_images_keep(struct kernel_image *image, const void *owner, CUcontext context)
{
    if (!image)
        return;
    kernel_images_forget(owner); /* whoever had that handle */
    if (image->is_short) {
        kernel_images_drop(image);
        return;
    }
    sort(image);
    image->owner = real_key(owner);
    image->context = context;
    lock_acquire(&lock);
    LL_PREPEND(list, image);
    lock_release(&lock);
}

void kernel_images_forget(const void *owner)
{
    uint64_t key = real_key(owner);
    struct kernel_image *gone = NULL, *image, *next;

    lock_acquire(&lock);
    LL_FOREACH_SAFE(list, image, next)
        if (image->owner == key || image->same_as == key) {
            LL_DELETE(list, image);
            LL_PREPEND(gone, image);
        }
    lock_release(&lock);
    forget_functions(key, NULL);
    LL_FOREACH_SAFE(gone, image, next)
        kernel_images_drop(image);
}

void kernel_images_context_gone(CUcontext context)
{
    forget_functions(0, context);
}

/* ---- functions ------------------------------------------------------------------------------------------------- */

static void hand_out(const void *function, const struct handed *handed)
{
    struct handed before;

    /* Without memory it is not known, and not what had its handle before either. */
    if (table_put(&functions, real_key(function), handed))
        table_take(&functions, real_key(function), &before);
}

static uint64_t hash_of(const char *name)
{
    return XXH3_64bits(name, strlen(name));
}

CUresult kernel_images_function(CUresult result, const CUfunction *out, CUmodule module, const char *name)
{
    struct handed handed = {.image = real_key(module), .owner = real_key(module)};
    const struct kernel_image *image;

    if (result != CUDA_SUCCESS || !are_wanted())
        return result;
    handed.name = hash_of(name);
    lock_acquire(&lock);
    image = find_image(handed.image);
    if (image) {
        handed.image = image->same_as ? image->same_as : image->owner;
        handed.context = image->context;
    }
    lock_release(&lock);
    hand_out(*out, &handed);
    return result;
}

CUresult kernel_images_kernel(CUresult result, const CUkernel *out, CUlibrary library, const char *name)
{
    if (result == CUDA_SUCCESS && are_wanted())
        hand_out(*out, &(struct handed){real_key(library), hash_of(name), real_key(library), NULL, true});
    return result;
}

CUresult kernel_images_function_of(CUresult result, const CUfunction *out, CUkernel kernel)
{
    struct handed handed;
    struct place place = {0};

    if (result != CUDA_SUCCESS || !are_wanted())
        return result;
    if (table_get(&functions, real_key(kernel), &handed)) {
        contexts_here(&place);
        handed.owner = 0;
        handed.context = place.context;
        handed.is_kernel = false;
        hand_out(*out, &handed);
    } else {
        table_take(&functions, real_key(*out), &handed);
    }
    return result;
}

CUresult kernel_images_module_of(CUresult result, const CUmodule *out, CUlibrary library)
{
    struct kernel_image *image = result == CUDA_SUCCESS ? kernel_images_begin() : NULL;
    struct place place = {0};

    if (!image)
        return result;
    contexts_here(&place);
    image->same_as = real_key(library);
    kernel_images_keep(image, *out, place.context);
    return result;
}

/* Lock held. -1: the image does not tell, or not the same everywhere. */
static int copy_parameters(const struct kernel_image *image, uint64_t name, struct kernel_parameter *out)
{
    const struct kernel_parameter *parameter = image->parameters.items;
    const struct named *found = image->named.count
                                    ? bsearch(&(struct named){.name = name}, image->named.items,
                                              image->named.count, sizeof(*found), by_name)
                                    : NULL;

    if (!found || found->count > KERNEL_PARAMETERS_MAX)
        return -1;
    if (found->count)
        memcpy(out, parameter + found->first, found->count * sizeof(*out));
    return (int)found->count;
}

int kernel_images_find(const void *function, struct kernel_parameter *out, uint64_t *out_owner,
                       bool *out_is_kernel)
{
    const struct kernel_image *image;
    struct handed handed;
    int count;

    if (!table_get(&functions, real_key(function), &handed))
        return -1;
    lock_acquire(&lock);
    image = find_image(handed.image);
    count = image ? copy_parameters(image, handed.name, out) : -1;
    lock_release(&lock);
    *out_owner = handed.owner;
    *out_is_kernel = handed.is_kernel;
    return count;
}
