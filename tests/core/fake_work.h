/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_work.h - what the fake device does over time: calls that fail, copies, kernels, drains, the clock.
 */
#ifndef EBBTIDE_TESTS_FAKE_WORK_H
#define EBBTIDE_TESTS_FAKE_WORK_H

#include "fake_device.h"

struct fake_copy { /* from 0: zeros, or a search of `to` where scan.bytes is not 0 */
    unsigned ordinal;
    uint64_t to, from, bytes;
    struct scan scan;
};

struct fake_kernel {
    uint64_t address, bytes;
    fake_kernel_fn run;
    void *arg;
};

static inline struct fake_device *fake_of(struct device *self)
{
    return (struct fake_device *)self;
}

/* Every call starts with this one, which leaves fake->lock held: 0, or what the test wants the call to fail
 * with. */
int fake_call_begin(struct fake_device *fake, enum fake_call call);
/* And ends with this one; returns rc. */
int fake_call_end(struct fake_device *fake, int rc);

/* Does a running kernel use, or a copy that nobody waited for touch, the range? Wants the lock. */
bool fake_kernel_uses(struct fake_device *fake, uint64_t address, uint64_t bytes);
bool fake_copy_touches(struct fake_device *fake, uint64_t address, uint64_t bytes);

int fake_zero(struct device *self, unsigned ordinal, uint64_t address, uint64_t bytes);
int fake_scan(struct device *self, unsigned ordinal, const struct scan *scan);
int fake_copy(struct device *self, unsigned ordinal, uint64_t to, uint64_t from, uint64_t bytes);
int fake_copied(struct device *self, unsigned ordinal, unsigned ways);
int fake_order(struct device *self, unsigned ordinal, void *stream);
int fake_drain(struct device *self, uint32_t devices, uint64_t deadline_ns);
bool fake_rested(struct device *self, unsigned ordinal);
uint32_t fake_reachers(struct device *self, unsigned ordinal);
uint32_t fake_users(struct device *self, unsigned ordinal);
unsigned fake_runs_on(struct device *self, const void *stream);

#endif
