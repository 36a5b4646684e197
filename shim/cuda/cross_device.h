/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cross_device.h - a copy or set whose block lies on another device than the one that makes it.
 *
 * The driver lets a context copy and set memory that cudaMalloc gave on any device; blocks are mappings, which only
 * their own device and its peers may touch. So a copy between two devices becomes one that names both contexts, and
 * what has one side on the host, or is a set, is made in the context of the block: in a stream that waits for the
 * program's, and that the program's waits for. That stream is a fresh one, or the thread's own default stream where a
 * call is told none: the context's legacy one would wait for all that the program does there. A stream that captures
 * can take the first kind only.
 *
 * Threads  any. cross_device_begin and cross_device_end stand around the real call, inside the user section.
 */
#ifndef EBB_CROSS_DEVICE_H
#define EBB_CROSS_DEVICE_H

#include "cuda/real.h"
#include "engine/core.h"

/** The shape of a call that could be a copy between devices. */
enum cross_device_form {
    CROSS_DEVICE_NONE, /**< a set, or one side is an address of the host's by the call's name */
    CROSS_DEVICE_FLAT,
    CROSS_DEVICE_PLANE,
    CROSS_DEVICE_VOLUME
};

struct cross_device {
    enum cross_device_form form;
    bool per_thread;      /**< stream 0 is the thread's own */
    CUstream *stream;     /**< the call's argument, which may be changed; NULL: it has none */
    CUdeviceptr to, from; /**< of a flat one */
    size_t bytes;
    const CUDA_MEMCPY2D *plane;
    const CUDA_MEMCPY3D *volume;
    CUresult result; /**< of the call, once it was made */
    /* Internal: the detour through the context of the block. */
    CUcontext owner, home;
    CUevent before;
    CUstream detour, instead_of;
};

static inline void cross_device_init(struct cross_device *cross, bool per_thread)
{
    cross->form = CROSS_DEVICE_NONE;
    cross->per_thread = per_thread;
    cross->stream = NULL;
    cross->owner = NULL;
}

static inline void cross_device_flat(struct cross_device *cross, CUdeviceptr to, CUdeviceptr from,
                                     size_t bytes)
{
    cross->form = CROSS_DEVICE_FLAT;
    cross->to = to;
    cross->from = from;
    cross->bytes = bytes;
}

/** True for a call with a block that the device which makes it has no access to. */
bool cross_device_is(const struct cross_device *cross, const struct use *use);

/** Make the call, or have the program's call made in the right context. True: it was made, with `result`. False: the
 *  caller makes it, in the thread's own default stream where `owner` is set, and then calls cross_device_end. */
bool cross_device_begin(struct cross_device *cross, const struct use *use);
void cross_device_end(struct cross_device *cross);

#endif
