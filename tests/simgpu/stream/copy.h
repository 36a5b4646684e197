/* SPDX-License-Identifier: Apache-2.0 */
/* Copies: checking operands, and how a copy waits. */
#ifndef SIMGPU_COPY_H
#define SIMGPU_COPY_H

#include "stream/submit.h"

/* Which of a copy's operands are ordinary pointers of the CPU, or that their addresses tell. */
enum copy_kind {
    COPY_H2D,
    COPY_D2H,
    COPY_D2D,
    COPY_INFER
};

/* Sets the host marks of both planes. */
void copy_classify(struct copy_work *copy, enum copy_kind kind);

/* CUDA_ERROR_INVALID_VALUE where an operand is not what the device or the CPU may touch. */
CUresult copy_check(const struct context *context, const struct copy_work *copy);

/*
 * Makes it a copy between two contexts (NULL: the current one): each side is used by the device of its own, so that
 * neither needs access to the other's. Called without the lock. CUDA_ERROR_INVALID_CONTEXT.
 */
CUresult copy_between(struct copy_work *copy, CUcontext to, CUcontext from);

/*
 * The body of every copy entry, called without the lock: looks up the stream, checks, and submits. A copy of
 * nothing succeeds.
 */
CUresult copy_submit(struct copy_work *copy, enum copy_kind kind, CUstream stream, bool asynchronous);

#endif
