/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moment.h - something happens when the fake device is asked something for the nth time: on the thread that asks, or on
 * another one, which comes as far as it can meanwhile. One at a time; moment_end and moment_part end it.
 */
#ifndef EBBTIDE_TESTS_MOMENT_H
#define EBBTIDE_TESTS_MOMENT_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "fake_device.h"

static struct {
    struct fake_device *fake;
    enum fake_call call;
    unsigned left;
    void *(*act)(void *arg);
    void *arg;
    bool on_another;
    pthread_t thread;
    _Atomic bool goes_on;
} moment;

/* The thread that asks goes on from now on, whatever the other one has still to do. */
static inline void moment_goes_on(void)
{
    atomic_store(&moment.goes_on, true);
}

static inline void *moment_on_another(void *unused)
{
    (void)unused;
    moment.act(moment.arg);
    moment_goes_on();
    return NULL;
}

/* The other thread comes to its end, unless it has to wait for the one that asks. */
static inline void moment_comes(struct fake_device *fake, enum fake_call call, void *arg)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    (void)fake, (void)arg;
    if (call != moment.call || !moment.left || --moment.left)
        return;
    if (!moment.on_another) {
        moment.act(moment.arg);
        return;
    }
    cr_assert_eq(pthread_create(&moment.thread, NULL, moment_on_another, NULL), 0);
    for (unsigned i = 0; i < 100 && !atomic_load(&moment.goes_on); i++)
        nanosleep(&pause, NULL);
}

/* On the thread that asks. */
static inline void moment_at(struct fake_device *fake, enum fake_call call, unsigned nth,
                             void *(*act)(void *arg), void *arg)
{
    moment.fake = fake;
    moment.call = call;
    moment.left = nth;
    moment.act = act;
    moment.arg = arg;
    moment.on_another = false;
    fake->before = moment_comes;
}

static inline void moment_end(void)
{
    moment.fake->before = NULL;
}

/* On another thread; moment_part waits for it. */
static inline void moment_meet(struct fake_device *fake, enum fake_call call, unsigned nth,
                               void *(*act)(void *arg), void *arg)
{
    moment_at(fake, call, nth, act, arg);
    moment.on_another = true;
    atomic_store(&moment.goes_on, false);
}

static inline void moment_part(void)
{
    cr_assert_eq(moment.left, 0, "the device was not asked that often");
    pthread_join(moment.thread, NULL);
    moment_end();
}

#endif
