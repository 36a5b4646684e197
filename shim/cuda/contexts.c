/* SPDX-License-Identifier: Apache-2.0 */
/* contexts.c - see contexts.h. */
#include "cuda/contexts.h"

#include <errno.h>

#include "base/lock.h"
#include "base/table.h"

struct home {
    CUcontext context; /* NULL: no streams */
    CUstream stream[STREAM_WAYS];
    CUfunction kernel;
};

struct primary {
    CUcontext context;
    unsigned retains;
};

static CUdevice devices[DEVICE_MAX];
static unsigned device_count;

static struct table table = TABLE_INIT(struct context);
/* Readers work in some context; the writer takes one away. */
static struct lock_shared alive = LOCK_SHARED_INIT(LOCK_CONTEXTS);

/* Both under home_lock. */
static struct lock home_lock = LOCK_INIT(LOCK_HOME);
static struct home homes[DEVICE_MAX];
static struct primary primaries[DEVICE_MAX];

int contexts_init(void)
{
    int count = 0;

    if (real.cuDeviceGetCount(&count) != CUDA_SUCCESS || count < 1 || count > DEVICE_MAX)
        return -ENOTSUP;
    for (int i = 0; i < count; i++)
        if (real.cuDeviceGet(&devices[i], i) != CUDA_SUCCESS)
            return -ENOTSUP;
    device_count = (unsigned)count;
    return 0;
}

unsigned contexts_device_count(void)
{
    return device_count;
}

CUdevice contexts_device(unsigned ordinal)
{
    return devices[ordinal];
}

unsigned contexts_ordinal(CUdevice device)
{
    for (unsigned i = 0; i < device_count; i++)
        if (devices[i] == device)
            return i;
    return DEVICE_MAX;
}

static void add(uint64_t key, struct context context, CUdevice device)
{
    context.ordinal = contexts_ordinal(device);
    if (key && context.ordinal < DEVICE_MAX)
        table_put(&table, key, &context);
}

void contexts_add(CUcontext handle, CUdevice device)
{
    add(real_key(handle), (struct context){.handle = handle}, device);
}

void contexts_add_green(CUgreenCtx green, CUdevice device)
{
    add(real_key(green), (struct context){.green = green}, device);
}

void contexts_retained(CUcontext handle, CUdevice device)
{
    unsigned ordinal = contexts_ordinal(device);

    if (ordinal == DEVICE_MAX)
        return;
    lock_acquire(&home_lock);
    primaries[ordinal].context = handle;
    primaries[ordinal].retains++;
    lock_release(&home_lock);
    contexts_add(handle, device);
}

bool contexts_released(CUdevice device, CUcontext *out)
{
    unsigned ordinal = contexts_ordinal(device);
    bool is_last = false;

    if (ordinal == DEVICE_MAX)
        return false;
    lock_acquire(&home_lock);
    if (primaries[ordinal].retains && --primaries[ordinal].retains == 0) {
        *out = primaries[ordinal].context;
        primaries[ordinal].context = NULL;
        is_last = true;
    }
    lock_release(&home_lock);
    return is_last;
}

CUcontext contexts_primary(CUdevice device)
{
    unsigned ordinal = contexts_ordinal(device);
    CUcontext context = NULL;

    if (ordinal == DEVICE_MAX)
        return NULL;
    lock_acquire(&home_lock);
    context = primaries[ordinal].context;
    lock_release(&home_lock);
    return context;
}

bool contexts_ordinal_of(CUcontext handle, unsigned *out)
{
    struct context context;

    if (!handle || !table_get(&table, real_key(handle), &context))
        return false;
    *out = context.ordinal;
    return true;
}

bool contexts_is_created(CUcontext handle)
{
    unsigned ordinal;

    return contexts_ordinal_of(handle, &ordinal) && contexts_primary(devices[ordinal]) != handle;
}

void contexts_gone(CUcontext handle)
{
    struct context context;

    lock_shared_write(&alive);
    if (table_take(&table, real_key(handle), &context)) {
        struct home *home = &homes[context.ordinal];

        for (unsigned i = 0; home->context == handle && i < STREAM_WAYS; i++)
            real.cuStreamDestroy_v2(home->stream[i]);
        if (home->context == handle)
            *home = (struct home){0};
    }
    lock_shared_release(&alive);
}

bool contexts_green_gone(CUgreenCtx green, CUdevice *out)
{
    struct context context;
    bool is_known;

    if (!green)
        return false;
    lock_shared_write(&alive);
    is_known = table_take(&table, real_key(green), &context);
    lock_shared_release(&alive);
    if (is_known)
        *out = devices[context.ordinal];
    return is_known;
}

bool contexts_any_here(void)
{
    CUcontext context = NULL;

    return real.cuCtxGetCurrent(&context) == CUDA_SUCCESS && context;
}

bool contexts_here(struct place *out)
{
    CUcontext context = NULL;
    CUdevice device;

    if (real.cuCtxGetCurrent(&context) != CUDA_SUCCESS || !context ||
        real.cuCtxGetDevice(&device) != CUDA_SUCCESS)
        return false;
    unsigned ordinal = contexts_ordinal(device);

    if (ordinal == DEVICE_MAX)
        return false;
    *out = (struct place){context, ordinal};
    return true;
}

bool contexts_is_default(CUstream stream)
{
    return !stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD;
}

bool contexts_of_stream(CUstream stream, struct place *out)
{
    struct place place;

    if (contexts_is_default(stream) || !real.cuStreamGetCtx ||
        real.cuStreamGetCtx(stream, &place.context) != CUDA_SUCCESS ||
        !contexts_ordinal_of(place.context, &place.ordinal))
        return false;
    *out = place;
    return true;
}

CUstreamCaptureMode quiet_begin(void)
{
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

    if (real.cuThreadExchangeStreamCaptureMode &&
        real.cuThreadExchangeStreamCaptureMode(&mode) != CUDA_SUCCESS)
        mode = CU_STREAM_CAPTURE_MODE_GLOBAL; /* the mode that every thread starts with */
    return mode;
}

void quiet_end(CUstreamCaptureMode mode)
{
    if (real.cuThreadExchangeStreamCaptureMode)
        real.cuThreadExchangeStreamCaptureMode(&mode);
}

static CUcontext some_context(unsigned ordinal)
{
    struct table_copy copy;
    struct context primary;
    CUcontext found = NULL;

    /* Only what is in the table: a primary context that was reset may be retained, and dead. */
    if (table_get(&table, real_key(primaries[ordinal].context), &primary))
        return primary.handle;
    if (table_copy(&table, &copy))
        return NULL;
    for (uint32_t i = 0; !found && i < copy.count; i++) {
        const struct context *context = table_copy_record(&copy, i);

        if (context->handle && context->ordinal == ordinal)
            found = context->handle;
    }
    table_copy_free(&copy);
    return found;
}

/* Private streams in a context that is current. */
static int make_streams(struct home *home)
{
    for (unsigned i = 0; i < STREAM_WAYS; i++) {
        CUresult result = real.cuStreamCreate(&home->stream[i], CU_STREAM_NON_BLOCKING);

        if (result == CUDA_SUCCESS)
            continue;
        while (i-- > 0)
            real.cuStreamDestroy_v2(home->stream[i]);
        return result == CUDA_ERROR_OUT_OF_MEMORY ? -ENOMEM : -EIO;
    }
    return 0;
}

/* Push the context of our streams, made here where there are none. home_lock held; the driver is called under it,
 * which nothing of the core's ever waits for. */
static int push_home(unsigned ordinal)
{
    struct home *home = &homes[ordinal];
    CUcontext context = home->context ? home->context : some_context(ordinal);

    if (!context)
        return -ENOTSUP;
    if (real.cuCtxPushCurrent_v2(context) != CUDA_SUCCESS)
        return -EIO;
    int error = home->context ? 0 : make_streams(home);

    if (error)
        real.cuCtxPopCurrent_v2(&context);
    else
        home->context = context;
    return error;
}

int context_enter(unsigned ordinal, struct entered *out)
{
    lock_assert_none();
    lock_shared_read(&alive);
    out->mode = quiet_begin();
    lock_acquire(&home_lock);
    int error = push_home(ordinal);

    out->context = homes[ordinal].context;
    out->kernel = &homes[ordinal].kernel;
    for (unsigned i = 0; !error && i < STREAM_WAYS; i++)
        out->stream[i] = homes[ordinal].stream[i];
    lock_release(&home_lock);
    if (error) {
        quiet_end(out->mode);
        lock_shared_release(&alive);
    }
    return error;
}

void context_leave(struct entered *entered)
{
    CUcontext popped;

    real.cuCtxPopCurrent_v2(&popped);
    quiet_end(entered->mode);
    lock_shared_release(&alive);
}

void contexts_keep(void)
{
    lock_shared_read(&alive);
}

void contexts_let_go(void)
{
    lock_shared_release(&alive);
}

bool context_watch(unsigned ordinal, struct entered *out)
{
    bool any;

    lock_shared_read(&alive);
    lock_acquire(&home_lock);
    any = homes[ordinal].context != NULL;
    for (unsigned i = 0; any && i < STREAM_WAYS; i++)
        out->stream[i] = homes[ordinal].stream[i];
    lock_release(&home_lock);
    if (any)
        out->mode = quiet_begin();
    else
        lock_shared_release(&alive);
    return any;
}

void context_unwatch(struct entered *entered)
{
    quiet_end(entered->mode);
    lock_shared_release(&alive);
}

int contexts_each(int (*visit)(const struct context *context, void *arg), void *arg)
{
    struct table_copy copy = {0};

    lock_shared_read(&alive);
    int error = table_copy(&table, &copy);

    for (uint32_t i = 0; !error && i < copy.count; i++)
        error = visit(table_copy_record(&copy, i), arg);
    table_copy_free(&copy);
    lock_shared_release(&alive);
    return error;
}
