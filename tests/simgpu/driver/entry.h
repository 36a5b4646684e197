/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way into the driver. Each exported cuXxx is an assembly thunk that asks gate_enter whether the call may
 * proceed and then jumps to the C function sim_cuXxx, its arguments untouched. sim_cuXxx is declared here
 * with the type that NVIDIA's header gives cuXxx, so a wrong signature does not compile. All of it is made
 * from driver/entries.def.
 */
#ifndef SIMGPU_ENTRY_H
#define SIMGPU_ENTRY_H

/* Shows the older variants too, under the names of their symbols. */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <cudaProfiler.h>
#include <stdbool.h>
#include <stdint.h>

/* The header that has these wants those of OpenGL. */
CUresult cuGraphicsGLRegisterBuffer(CUgraphicsResource *resource, unsigned buffer, unsigned flags);
CUresult cuGraphicsGLRegisterImage(CUgraphicsResource *resource, unsigned image, unsigned target,
                                   unsigned flags);

#define ENTRY(symbol, version, needs, stream, body) extern __typeof__(body) sim_##body;
#include "driver/entries.def"
#undef ENTRY

/* Index of each symbol in entries. */
enum {
#define ENTRY(symbol, version, needs, stream, body) ENTRY_##symbol,
#include "driver/entries.def"
#undef ENTRY
};

enum entry_needs {
    ANY,
    INIT,
    WORK,
    CTX,
    VMM
};
enum entry_stream {
    LEGACY,
    PER_THREAD
};

struct entry {
    const char *symbol;
    int version;
    enum entry_needs needs;
    enum entry_stream stream;
    void *exported; /* the thunk */
    void *body;     /* NULL: not implemented */
};

extern const struct entry entries[];
extern const unsigned entry_count;

/* Calls seen so far of entries[index], failed ones included. */
uint64_t entry_calls(unsigned index);

/* Returned in two registers; target is where the thunk jumps when result is 0. */
struct gate {
    long result;
    void *target;
};

/* Called by the thunks only. */
struct gate gate_enter(unsigned index, void *return_address);

#endif
