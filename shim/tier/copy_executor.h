/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_executor.h - device memory to host memory and back, by the device's copy engine.
 *
 * Copies of one device share its private stream, so one synchronisation ends them all: waiting for the first
 * transfer of a batch completes the batch, and the other waits return at once.
 *
 * Owns     nothing but its books.
 * Threads  any; the device is called without the lock.
 */
#ifndef EBB_COPY_EXECUTOR_H
#define EBB_COPY_EXECUTOR_H

#include "base/lock.h"
#include "tier/device.h"
#include "tier/executor.h"

#include <pthread.h>
#include <stdatomic.h>

struct copy_executor {
    struct executor row; /**< give this to the core's list */
    struct device *device;
    atomic_uint busy;
    struct lock lock; /**< for all below, and for transfers that have not ended */
    pthread_cond_t ended;
    struct transfer *started[DEVICE_MAX]; /**< of each device, those that no synchronisation covers yet */
};

/** @device  live until copy_executor_finish */
void copy_executor_init(struct copy_executor *executor, struct device *device);

/** Every transfer has been waited for. */
void copy_executor_finish(struct copy_executor *executor);

#endif
