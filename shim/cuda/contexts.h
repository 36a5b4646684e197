/* SPDX-License-Identifier: Apache-2.0 */
/*
 * contexts.h - the live contexts of the process, and our private streams in one of them per device.
 *
 * Shape    filled by the lifecycle hooks. We never create or retain a context: on a device without a live one
 *          nothing can be copied, and nothing needs to be.
 * Threads  any. Whoever works in a context keeps it from being destroyed (context_enter .. context_leave);
 *          contexts_gone waits for them.
 */
#ifndef EBB_CONTEXTS_H
#define EBB_CONTEXTS_H

#include "cuda/real.h"
#include "tier/device.h"

/** Directions that overlap, each with its stream. */
enum stream_way {
    STREAM_OUT, /**< device to host, and within the device */
    STREAM_IN,  /**< host to device */
    STREAM_WAYS
};

struct context {
    CUcontext handle; /**< NULL for a green one */
    CUgreenCtx green;
    unsigned ordinal;
};

/** Learn the devices. 0, or -ENOTSUP with none or more than DEVICE_MAX. */
int contexts_init(void);
unsigned contexts_device_count(void);
CUdevice contexts_device(unsigned ordinal);
/** The ordinal of a device; DEVICE_MAX when it is none of ours. */
unsigned contexts_ordinal(CUdevice device);

void contexts_add(CUcontext handle, CUdevice device);
void contexts_add_green(CUgreenCtx green, CUdevice device);
/** A primary context was retained once more. */
void contexts_retained(CUcontext handle, CUdevice device);
/** One retain less. True, and the context, when that was the last. */
bool contexts_released(CUdevice device, CUcontext *out);
/** The primary context of a device, NULL when none is live. */
CUcontext contexts_primary(CUdevice device);
/** The device of a live context. False when it is not known. */
bool contexts_ordinal_of(CUcontext handle, unsigned *out);
/** True for a live context that the program created itself: not primary, not unknown. */
bool contexts_is_created(CUcontext handle);
/** A context is about to be destroyed: wait for who works in it, destroy what is ours in it. */
void contexts_gone(CUcontext handle);
/** The same for a green one, and whose it was. False when it is not known. */
bool contexts_green_gone(CUgreenCtx green, CUdevice *out);

/** The thread's current context and its device. False when it has none. */
struct place {
    CUcontext context;
    unsigned ordinal;
};
bool contexts_here(struct place *out);

/** Has the calling thread a context? Without one, or in a function of the host that a stream runs, the driver refuses most calls,
 *  and is the one to say how. */
bool contexts_any_here(void);
/** The context of a stream that the program has made, and its device. False for a default stream, for one that captures,
 *  which does not tell, and where the context is not known. */
bool contexts_of_stream(CUstream stream, struct place *out);
/** True for a default stream, which is of the current context. */
bool contexts_is_default(CUstream stream);

/** Work in a context: current, capture mode relaxed, until context_leave. */
struct entered {
    CUcontext context;
    CUstream stream[STREAM_WAYS];
    CUfunction *kernel;       /**< of the scan, in this context; device_scan.c loads it, NULL before */
    CUstreamCaptureMode mode; /**< the thread's own */
};

/** 0, or -ENOTSUP when the device has no live context, -EIO, -ENOMEM from the driver. */
int context_enter(unsigned ordinal, struct entered *out);
void context_leave(struct entered *entered);

/** No context ends in between. Not nested in the other way to work in one. */
void contexts_keep(void);
void contexts_let_go(void);

/** Only look at the streams, without a context being current: what was started must be waited for in any case.
 *  False when there are none. True: until context_unwatch. */
bool context_watch(unsigned ordinal, struct entered *out);
void context_unwatch(struct entered *entered);

/** Call `visit` for every live context, green ones included, none of which ends meanwhile. Stops with what it
 *  returns when that is not 0. */
int contexts_each(int (*visit)(const struct context *context, void *arg), void *arg);

/** Make our calls on this thread harmless to a capture that others have open; gives what quiet_end wants. */
CUstreamCaptureMode quiet_begin(void);
void quiet_end(CUstreamCaptureMode mode);

#endif
