/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of executable graphs. */
#include "graph/exec_handle.h"

#include "device/context.h"
#include "driver/handle.h"
#include "graph/graph_params.h"
#include "memory/graph_memory.h"
#include "stream/capture.h"
#include "stream/event.h"
#include "stream/hazard.h"
#include "stream/submit.h"

#include <stdlib.h>
#include <string.h>

static struct executable *exec_of(CUgraphExec handle)
{
    return handle_is(handle, HANDLE_EXEC) ? (struct executable *)handle : NULL;
}

static CUresult instantiate(CUgraphExec *created, CUgraph handle, unsigned long long flags)
{
    const unsigned long long known = CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH |
                                     CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD |
                                     CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
    struct executable *executable;
    CUresult result;

    if (!created || !handle_is(handle, HANDLE_GRAPH) ||
        flags & ~(known | CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH)
        return CUDA_ERROR_NOT_SUPPORTED;
    result = graph_memory_instantiate((struct graph *)handle);
    if (result != CUDA_SUCCESS)
        return result;
    executable = calloc(1, sizeof *executable);
    if (executable)
        executable->exec = exec_create((struct graph *)handle);
    if (!executable || !executable->exec || !handle_add(executable, HANDLE_EXEC)) {
        if (executable && executable->exec)
            exec_drop(executable->exec);
        free(executable);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    executable->flags = flags;
    graph_memory_admit(executable->exec);
    *created = (CUgraphExec)executable;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    sim_lock();
    return sim_leave(instantiate(exec, graph, flags));
}

CUresult sim_cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log,
                                   size_t log_bytes)
{
    if (error)
        *error = NULL;
    if (log && log_bytes)
        *log = '\0';
    return sim_cuGraphInstantiateWithFlags(exec, graph, 0);
}

CUresult sim_cuGraphInstantiateWithParams(CUgraphExec *exec, CUgraph graph,
                                          CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    CUresult result;

    if (!params)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    result = instantiate(exec, graph, params->flags);
    params->hErrNode_out = NULL;
    params->result_out =
        result == CUDA_SUCCESS ? CUDA_GRAPH_INSTANTIATE_SUCCESS : CUDA_GRAPH_INSTANTIATE_ERROR;
    return sim_leave(result);
}

CUresult sim_cuGraphExecGetFlags(CUgraphExec handle, cuuint64_t *flags)
{
    struct executable *executable;

    sim_lock();
    executable = exec_of(handle);
    if (!executable || !flags)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *flags = executable->flags;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuGraphExecDestroy(CUgraphExec handle)
{
    struct executable *executable;

    sim_lock();
    executable = exec_of(handle);
    if (!executable)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    handle_remove(executable);
    graph_memory_retire(executable->exec);
    if (executable->last)
        op_drop(executable->last);
    exec_leave(executable->exec);
    exec_drop(executable->exec);
    free(executable);
    return sim_leave(CUDA_SUCCESS);
}

/* Ordered after the events that its wait nodes name, and after its own latest launch. */
static CUresult order_launch(const struct executable *executable, struct op *op)
{
    CUresult result = stream_order(op);

    if (result == CUDA_SUCCESS)
        result = op_depend(op, executable->last);
    for (unsigned i = 0; i < executable->exec->step_count && result == CUDA_SUCCESS; i++)
        if (executable->exec->steps[i].waits && !executable->exec->steps[i].disabled)
            result = op_depend(op, executable->exec->steps[i].waits->point);
    return result == CUDA_SUCCESS ? work_name(&op->work, op, 0) : result;
}

static CUresult launch(struct executable *executable, struct stream *stream)
{
    struct work work = {.kind = WORK_GRAPH, .exec = executable->exec};
    CUresult result = capture_admit(stream);
    struct op *op;

    if (result == CUDA_SUCCESS && stream->capture)
        result = capture_refuse(stream->capture);
    if (result == CUDA_SUCCESS)
        result = graph_memory_check(executable->exec,
                                    executable->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
    if (result == CUDA_SUCCESS)
        result = graph_memory_back(executable->exec);
    if (result != CUDA_SUCCESS)
        return result;
    executable->exec->refs++;
    op = op_create(stream, &work);
    if (!op)
        return CUDA_ERROR_OUT_OF_MEMORY;
    executable->exec->users++;
    op->stuck = options.stuck;
    result = order_launch(executable, op);
    if (result != CUDA_SUCCESS) {
        exec_leave(executable->exec);
        op_abandon(op);
        op_drop(op);
        return result;
    }
    exec_judge_placement(executable->exec);
    op_submit(op);
    graph_memory_launched(executable->exec, op);
    for (unsigned i = 0; i < executable->exec->step_count; i++) {
        if (executable->exec->steps[i].records && !executable->exec->steps[i].disabled) {
            op_hold(op);
            event_set(executable->exec->steps[i].records, op);
        }
    }
    if (executable->last)
        op_drop(executable->last);
    executable->last = op;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphLaunch(CUgraphExec handle, CUstream stream_handle)
{
    struct executable *executable;
    struct stream *stream;
    CUresult result;

    sim_lock();
    executable = exec_of(handle);
    result = executable ? stream_of(stream_handle, &stream) : CUDA_ERROR_INVALID_VALUE;
    return sim_leave(result == CUDA_SUCCESS ? launch(executable, stream) : result);
}

CUresult sim_cuGraphUpload(CUgraphExec handle, CUstream stream_handle)
{
    struct stream *stream;
    CUresult result;

    sim_lock();
    result = exec_of(handle) ? stream_of(stream_handle, &stream) : CUDA_ERROR_INVALID_VALUE;
    return sim_leave(result == CUDA_SUCCESS ? graph_memory_back(exec_of(handle)->exec) : result);
}

/* The instance, free to be changed: launches under way keep the one they have. */
static struct exec *exec_own(struct executable *executable)
{
    if (executable->exec->refs > 1) {
        struct exec *copy = exec_copy(executable->exec);

        if (!copy)
            return NULL;
        exec_leave(executable->exec);
        exec_drop(executable->exec);
        executable->exec = copy;
    }
    return executable->exec;
}

/* What a graph holds takes the place of what was held. */
static void trade_objects(struct holdings *holdings, struct exec *fresh)
{
    struct holdings kept = *holdings;

    *holdings = fresh->objects;
    fresh->objects = kept;
}

static CUresult set_child(struct exec *exec, unsigned index, const struct graph *child)
{
    struct exec *fresh = exec_create(child);
    CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

    if (!fresh)
        return result;
    result = index >= fresh->step_count && exec_matches(exec, index - fresh->step_count, fresh, false, NULL)
                 ? CUDA_SUCCESS
                 : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS) {
        exec_swap(exec, index - fresh->step_count, fresh);
        trade_objects(&exec->steps[index].objects, fresh);
    }
    exec_drop(fresh);
    return result;
}

static CUresult set_step(struct exec *exec, unsigned index, struct node_content *content)
{
    struct step *step = &exec->steps[index];
    struct placement placement = placement_of(&content->work);

    if (content->type == CU_GRAPH_NODE_TYPE_GRAPH)
        return set_child(exec, index, content->child);
    if (memcmp(&placement, &step->placement, sizeof placement) != 0) {
        work_finish(&content->work);
        return CUDA_ERROR_INVALID_VALUE;
    }
    work_finish(&step->work);
    step->work = content->work;
    step->records = content->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD ? content->event : NULL;
    step->waits = content->type == CU_GRAPH_NODE_TYPE_WAIT_EVENT ? content->event : NULL;
    return CUDA_SUCCESS;
}

CUresult exec_set(CUgraphExec handle, CUgraphNode node, CUgraphNodeParams params)
{
    struct executable *executable;
    struct node_content content;
    struct exec *exec;
    unsigned index;
    CUresult result;

    sim_lock();
    executable = exec_of(handle);
    if (!executable || !exec_find(executable->exec, node, &index) ||
        executable->exec->steps[index].type != params.type)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    result = params_read(&params, &content);
    if (result != CUDA_SUCCESS)
        return sim_leave(result);
    exec = exec_own(executable);
    if (!exec) {
        work_finish(&content.work);
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    return sim_leave(set_step(exec, index, &content));
}

static CUresult update(struct executable *executable, const struct graph *graph,
                       CUgraphExecUpdateResultInfo *info)
{
    bool has_memory = graph_has_memory(graph);
    struct exec *fresh = has_memory ? NULL : exec_create(graph);
    struct exec *exec = fresh ? exec_own(executable) : NULL;
    CUresult result = CUDA_SUCCESS;

    if (has_memory) {
        info->result = CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
        return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    }
    if (!exec) {
        if (fresh)
            exec_drop(fresh);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    info->result = CU_GRAPH_EXEC_UPDATE_SUCCESS;
    if (exec->step_count != fresh->step_count)
        info->result = CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    else if (!exec_matches(exec, 0, fresh, true, info))
        result = CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    if (info->result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
        result = CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    if (result == CUDA_SUCCESS) {
        exec_swap(exec, 0, fresh);
        trade_objects(&exec->objects, fresh);
    }
    exec_drop(fresh);
    return result;
}

CUresult sim_cuGraphExecUpdate_v2(CUgraphExec handle, CUgraph graph, CUgraphExecUpdateResultInfo *info)
{
    struct executable *executable;

    if (!info)
        return CUDA_ERROR_INVALID_VALUE;
    memset(info, 0, sizeof *info);
    sim_lock();
    executable = exec_of(handle);
    if (!executable || !handle_is(graph, HANDLE_GRAPH))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    return sim_leave(update(executable, (struct graph *)graph, info));
}

CUresult sim_cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode *error,
                               CUgraphExecUpdateResult *result_out)
{
    CUgraphExecUpdateResultInfo info;
    CUresult result = sim_cuGraphExecUpdate_v2(exec, graph, &info);

    if (error)
        *error = info.errorNode;
    if (result_out)
        *result_out = info.result;
    return result;
}

CUresult sim_cuGraphNodeSetEnabled(CUgraphExec handle, CUgraphNode node, unsigned enabled)
{
    struct executable *executable;
    struct exec *exec;
    unsigned index;

    sim_lock();
    executable = exec_of(handle);
    if (!executable || !exec_find(executable->exec, node, &index))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    if (executable->exec->steps[index].work.kind == WORK_EMPTY)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    exec = exec_own(executable);
    if (!exec)
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    exec->steps[index].disabled = !enabled;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuGraphNodeGetEnabled(CUgraphExec handle, CUgraphNode node, unsigned *enabled)
{
    const struct executable *executable;
    unsigned index;

    sim_lock();
    executable = exec_of(handle);
    if (!enabled || !executable || !exec_find(executable->exec, node, &index))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    *enabled = !executable->exec->steps[index].disabled;
    return sim_leave(CUDA_SUCCESS);
}
