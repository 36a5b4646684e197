/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels for the simulated GPU.
 *
 * A module is a plain ELF shared object. It is loaded by cuModuleLoad, cuModuleLoadData (the file's bytes in
 * memory), cuLibraryLoadFromFile or cuLibraryLoadData; each load runs on a private copy of the file, so its
 * globals are its own. The object needs no library but this header: `cc -shared -fPIC -o kernels.so
 * kernels.c`.
 *
 * A kernel NAME is one exported C function and one exported table of its parameters:
 *
 *     SIMGPU_EXPORT const struct simgpu_param add_params[] = {{0, 8}, {8, 8}, {16, 8}, {0, 0}};
 *     SIMGPU_EXPORT void add(const struct simgpu_launch *launch, void **params)
 *     {
 *         float *out = *(float **)params[0];
 *         const float *in = *(const float **)params[1];
 *         uint64_t count = *(uint64_t *)params[2];
 *         simgpu_touch(out, count * sizeof *out);
 *         ...
 *     }
 *
 * One call runs the whole grid: the function loops over blocks and threads itself, where that matters. It
 * runs on the stream's thread, later than the launch. Offsets and sizes are those that nvcc gives the same
 * parameter list. An exported function without a NAME_params table is no kernel.
 *
 * Exported data symbols are the module's `__device__` globals (cuModuleGetGlobal, cuLibraryGetGlobal); the
 * tables are not. Static data belongs to the kernels and is unknown to the driver.
 *
 * Kernel code must not call CUDA, must not block on other streams, and must hold no lock or unfinished stdio
 * call while it touches device memory: an access to an address that is not mapped ends the kernel by a
 * non-local jump.
 *
 * simgpu_kernel.h writes all this from one line, for the simulation and for nvcc.
 */
#ifndef SIMGPU_H
#define SIMGPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMGPU_EXPORT __attribute__((visibility("default")))

/* What a kernel may know about its launch. Valid during the call only. */
struct simgpu_launch {
    unsigned grid[3];      /* blocks, x y z */
    unsigned block[3];     /* threads of a block, x y z */
    unsigned shared_bytes; /* dynamic shared memory */
    int device;            /* ordinal of the device that runs it */
    void *stream;          /* the CUstream as the program passed it; NULL is the legacy default stream */
    void (*set_condition)(uint64_t handle, unsigned value); /* cudaGraphSetConditional */
};

/* One kernel parameter: where it lies in the parameter buffer, in bytes. A table ends with size 0. */
struct simgpu_param {
    size_t offset;
    size_t size;
};

/* A CUtensorMap as a parameter of a kernel. Its format is the driver's secret, as on hardware. */
struct simgpu_tensor {
    uint64_t word[16];
};

enum {
    SIMGPU_TENSOR_ADDRESS = 0, /* its place, where it is not hidden */
    SIMGPU_TENSOR_BYTES = 1,
    SIMGPU_TENSOR_FORM = 15,
    SIMGPU_TENSOR_PLAIN = 0x7e01,
    SIMGPU_TENSOR_HIDDEN = 0x7e02
};

#ifndef SIMGPU_DRIVER

/* The module's way to the running driver, which calls simgpu_bind at load. One per module, however many
 * sources. */
__attribute__((visibility("hidden"), weak)) void (*simgpu_touch_hook)(const void *ptr, size_t bytes);
SIMGPU_EXPORT void simgpu_bind(void (*hook)(const void *ptr, size_t bytes));
SIMGPU_EXPORT __attribute__((weak)) void simgpu_bind(void (*hook)(const void *ptr, size_t bytes))
{
    simgpu_touch_hook = hook;
}

/*
 * Declares that the running kernel reads or writes [ptr, ptr + bytes) until it ends. The range is checked
 * against the access rights of the kernel's device (a miss is an illegal address, like a real access), and
 * unmapping, releasing or remapping it before the kernel has ended is a hazard. Memory of the program that the
 * driver does not know is illegal without SIMGPU_PAGEABLE, and ignored with it, as are ranges of 0 bytes.
 * Outside a kernel it does nothing.
 */
static inline void simgpu_touch(const void *ptr, size_t bytes)
{
    if (simgpu_touch_hook)
        simgpu_touch_hook(ptr, bytes);
}

/* The same for what tells of time: as simgpu_bind. */
__attribute__((visibility("hidden"), weak)) void (*simgpu_touch_times_hook)(const void *ptr, size_t bytes,
                                                                            unsigned passes);
__attribute__((visibility("hidden"), weak)) void (*simgpu_take_hook)(uint64_t ns);
SIMGPU_EXPORT void simgpu_bind_time(void (*touch_times)(const void *ptr, size_t bytes, unsigned passes),
                                    void (*take)(uint64_t ns));
SIMGPU_EXPORT __attribute__((weak)) void simgpu_bind_time(void (*touch_times)(const void *ptr, size_t bytes,
                                                                              unsigned passes),
                                                          void (*take)(uint64_t ns))
{
    simgpu_touch_times_hook = touch_times;
    simgpu_take_hook = take;
}

/* simgpu_touch of what the kernel goes over so many times: the link carries it as often where it lies on the host, and
 * managed pages are used so many times, one after the other. */
static inline void simgpu_touch_times(const void *ptr, size_t bytes, unsigned passes)
{
    if (simgpu_touch_times_hook)
        simgpu_touch_times_hook(ptr, bytes, passes);
}

/* The running kernel takes so long more by itself, times SIMGPU_KERNEL_SCALE. What it waits for at the link goes on
 * meanwhile: it takes the longer of the two. */
static inline void simgpu_take(uint64_t ns)
{
    if (simgpu_take_hook)
        simgpu_take_hook(ns);
}

/* Where the tensor lies that a map describes, declared as touched; NULL for what is no map. */
static inline void *simgpu_tensor_address(const struct simgpu_tensor *tensor)
{
    uint64_t form = tensor->word[SIMGPU_TENSOR_FORM], address = tensor->word[SIMGPU_TENSOR_ADDRESS];

    if (form != SIMGPU_TENSOR_PLAIN && form != SIMGPU_TENSOR_HIDDEN)
        return NULL;
    address = form == SIMGPU_TENSOR_HIDDEN ? ~address : address;
    simgpu_touch((void *)(uintptr_t)address, (size_t)tensor->word[SIMGPU_TENSOR_BYTES]);
    return (void *)(uintptr_t)address;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
