/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels for the simulation's own tests. */
#include "simgpu_kernel.h"

#include <sched.h>

SIMGPU_EXPORT int counter = 7;
SIMGPU_EXPORT uint64_t table[4];

struct pair {
    uint32_t first;
    uint64_t second;
};

SIMGPU_KERNEL3(add, uint32_t *, out, const uint32_t *, in, uint64_t, count)
{
    SIMGPU_TOUCH(out, count * sizeof *out);
    SIMGPU_TOUCH(in, count * sizeof *in);
    for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
        out[i] += in[i];
}

/* Declares nothing: what it gets by parameter counts whole. */
SIMGPU_KERNEL3(fill, uint32_t *, out, uint32_t, value, uint64_t, count)
{
    for (uint64_t i = SIMGPU_FIRST; i < count; i += SIMGPU_STEP)
        out[i] = value;
}

SIMGPU_KERNEL2(by_value, uint64_t *, out, struct pair, pair)
{
    *out = pair.first + pair.second;
}

/* Runs until the host sets the flag. */
SIMGPU_KERNEL1(wait, uint32_t *, flag)
{
    while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
        sched_yield();
}

/* Uses what no parameter points to: the pointer lies in memory. It says so, then waits. */
SIMGPU_KERNEL3(touch_through, void **, pointer, uint64_t, bytes, uint32_t *, flags)
{
    SIMGPU_TOUCH(*pointer, bytes);
    __atomic_store_n(&flags[0], 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&flags[1], __ATOMIC_ACQUIRE))
        sched_yield();
}

/* Declares a range and touches nothing. */
SIMGPU_KERNEL2(declare, void *, ptr, uint64_t, bytes)
{
    SIMGPU_TOUCH(ptr, bytes);
}

/* The same, so many times over, and takes a time of its own. */
SIMGPU_KERNEL4(declare_times, void *, ptr, uint64_t, bytes, uint64_t, passes, uint64_t, ns)
{
    SIMGPU_TAKE(ns);
    SIMGPU_TOUCH_TIMES(ptr, bytes, (unsigned)passes);
}

SIMGPU_KERNEL1(count_up, uint64_t, by)
{
    counter += (int)by;
}

SIMGPU_EXPORT extern const struct simgpu_param dimensions_params[];
const struct simgpu_param dimensions_params[] = {{0, 8}, {0, 0}};
SIMGPU_EXPORT void dimensions(const struct simgpu_launch *launch, void **params);
void dimensions(const struct simgpu_launch *launch, void **params)
{
    uint32_t *out = *(uint32_t **)params[0];

    for (int i = 0; i < 3; i++) {
        out[i] = launch->grid[i];
        out[3 + i] = launch->block[i];
    }
    out[6] = launch->shared_bytes;
    out[7] = (uint32_t)launch->device;
}

/* Counts a word down, and lets a loop go on until it is 0. */
SIMGPU_EXPORT const struct simgpu_param count_down_params[] = {{0, 8}, {8, 8}, {0, 0}};
SIMGPU_EXPORT void count_down(const struct simgpu_launch *launch, void **params);
void count_down(const struct simgpu_launch *launch, void **params)
{
    uint32_t *left = *(uint32_t **)params[0];
    uint64_t handle = *(uint64_t *)params[1];

    SIMGPU_TOUCH(left, sizeof *left);
    --*left;
    launch->set_condition(handle, *left);
}
