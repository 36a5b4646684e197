/* SPDX-License-Identifier: Apache-2.0 */
/* What a CUgraphExec is the address of: the instance that the next launch takes. Launches under way keep theirs. */
#ifndef SIMGPU_EXEC_HANDLE_H
#define SIMGPU_EXEC_HANDLE_H

#include "graph/exec.h"

struct executable {
    struct exec *exec;
    unsigned long long flags;
    struct op *last; /* the latest launch: the next one waits for it, in whatever stream */
};

/*
 * Changes the step of one node. Called without the lock. CUDA_ERROR_INVALID_VALUE also where a copy's operands are of
 * another device or kind of memory than those of the instance, as NVIDIA documents.
 */
CUresult exec_set(CUgraphExec exec, CUgraphNode node, CUgraphNodeParams params);

#endif
