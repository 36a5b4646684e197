/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts. A CUcontext is the address of one. A destroyed context stays in memory (threads may still have it
 * on their stacks), without any of its resources. Primary contexts belong to their device and are reset,
 * never destroyed.
 */
#ifndef SIMGPU_CONTEXT_H
#define SIMGPU_CONTEXT_H

#include "device/device.h"
#include "driver/sim.h"

struct stream;
struct capture;

struct context {
    struct context *next; /* all contexts ever made, see contexts */
    struct device *device;
    uint64_t id;
    unsigned flags;
    unsigned retained; /* primary: cuDevicePrimaryCtxRetain minus release; a reset leaves it */
    bool primary;
    bool alive;      /* this and the next are read without the lock too */
    CUresult sticky; /* CUDA_SUCCESS, or what every later call returns */
    unsigned api_version;
    size_t limits[CU_LIMIT_MAX];
    CUfunc_cache cache_config;
    bool peers[DEVICES_MAX]; /* cuCtxEnablePeerAccess towards contexts of these devices */
    struct stream *streams;  /* all, the default ones included */
    struct stream *legacy;   /* NULL until first used */
    struct stream *marker;   /* carries cuCtxRecordEvent */
};

extern struct context *contexts;

/* The current context of the calling thread, or NULL. No lock. */
struct context *context_current(void);

/* The context of a handle; NULL stands for the current one. NULL if there is none, or it is destroyed. */
struct context *context_of(CUcontext handle);

struct context *context_create(struct device *device, unsigned flags);

/*
 * The primary context of the device: one handle for good, alive from context_revive on, until it is reset or no longer
 * retained. NULL when memory is out.
 */
struct context *context_primary(struct device *device);
void context_revive(struct context *primary);

/* Whether a handle may be made current: a context that is alive, or a primary one, alive or not. */
bool context_is_handle(CUcontext handle);

/* Whether there is one on the device. */
bool context_lives(const struct device *device);

/* Whether every device has a context that is alive. */
bool context_on_each(void);

/* Waits for its work, then takes away all its resources. Drops the lock while it waits. */
void context_clear(struct context *context);

/* Marks it broken by an illegal access, once. */
void context_fail(struct context *context, CUresult result);

/* Whether contexts of the device may touch allocations of the other context. */
bool context_peer(const struct device *device, const struct context *owner);

#endif
