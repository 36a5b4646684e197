/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/user_object.h"

#include "driver/handle.h"
#include "graph/graph.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <utlist.h>

struct user_object {
    struct user_object *next; /* among those whose destructor is to run */
    CUhostFn destroy;
    void *data;
    size_t references;
};

/* Those whose last reference is gone, in that order, and what wakes the thread that ends them. */
static struct user_object *ended;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool started;

static void *end_all(void *unused)
{
    (void)unused;
    sim_lock();
    for (;;) {
        struct user_object *object = ended;

        if (!object) {
            pthread_cond_wait(&wake, &sim.lock);
            continue;
        }
        LL_DELETE(ended, object);
        sim_unlock();
        object->destroy(object->data);
        free(object);
        sim_lock();
    }
    return NULL;
}

/* The thread, which gets none of the program's signals. */
static bool start(void)
{
    sigset_t all, before;
    pthread_t thread_started;

    if (started)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    started = pthread_create(&thread_started, NULL, end_all, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread_started);
    return started;
}

static struct user_object *object_of(CUuserObject handle)
{
    return handle_is(handle, HANDLE_USER_OBJECT) ? (struct user_object *)handle : NULL;
}

/* False: it has not that many. */
static bool release(struct user_object *object, size_t count)
{
    if (count > object->references)
        return false;
    object->references -= count;
    if (!object->references) {
        handle_remove(object);
        LL_APPEND(ended, object);
        pthread_cond_signal(&wake);
    }
    return true;
}

/* Room for one more. */
static struct holding *find_or_add(struct holdings *holdings, struct user_object *object)
{
    struct holding *list;

    for (size_t i = 0; i < holdings->count; i++)
        if (holdings->list[i].object == object)
            return &holdings->list[i];
    list = realloc(holdings->list, (holdings->count + 1) * sizeof *list);
    if (!list)
        return NULL;
    holdings->list = list;
    list[holdings->count] = (struct holding){object, 0};
    return &list[holdings->count++];
}

bool holdings_join(struct holdings *holdings, const struct holdings *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct holding *holding = find_or_add(holdings, from->list[i].object);

        if (!holding)
            return false;
        holding->references += from->list[i].references;
        holding->object->references += from->list[i].references;
    }
    return true;
}

void holdings_drop(struct holdings *holdings)
{
    for (size_t i = 0; i < holdings->count; i++)
        release(holdings->list[i].object, holdings->list[i].references);
    free(holdings->list);
    *holdings = (struct holdings){0};
}

CUresult sim_cuUserObjectCreate(CUuserObject *created, void *data, CUhostFn destroy, unsigned references,
                                unsigned flags)
{
    struct user_object *object;

    /* The flag has to be there: no other kind of destructor exists. */
    if (!created || !destroy || !references || references > INT_MAX ||
        flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
    object = calloc(1, sizeof *object);
    sim_lock();
    if (!object || !start() || !handle_add(object, HANDLE_USER_OBJECT)) {
        free(object);
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    object->destroy = destroy;
    object->data = data;
    object->references = references;
    *created = (CUuserObject)object;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuUserObjectRetain(CUuserObject handle, unsigned count)
{
    struct user_object *object;

    sim_lock();
    object = object_of(handle);
    if (!object || !count || count > INT_MAX)
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    object->references += count;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuUserObjectRelease(CUuserObject handle, unsigned count)
{
    struct user_object *object;

    sim_lock();
    object = object_of(handle);
    return sim_leave(object && count && release(object, count) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* Moved references are the caller's until then. */
CUresult sim_cuGraphRetainUserObject(CUgraph graph, CUuserObject handle, unsigned count, unsigned flags)
{
    struct user_object *object;
    struct holding *holding;

    if (!count || count > INT_MAX || flags & ~(unsigned)CU_GRAPH_USER_OBJECT_MOVE)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock();
    object = object_of(handle);
    if (!object || !handle_is(graph, HANDLE_GRAPH) || (flags && count > object->references))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    holding = find_or_add(&((struct graph *)graph)->objects, object);
    if (!holding)
        return sim_leave(CUDA_ERROR_OUT_OF_MEMORY);
    holding->references += count;
    object->references += flags ? 0 : count;
    return sim_leave(CUDA_SUCCESS);
}

CUresult sim_cuGraphReleaseUserObject(CUgraph handle, CUuserObject object, unsigned count)
{
    struct holdings *holdings;

    sim_lock();
    if (!count || !handle_is(handle, HANDLE_GRAPH))
        return sim_leave(CUDA_ERROR_INVALID_VALUE);
    holdings = &((struct graph *)handle)->objects;
    for (size_t i = 0; i < holdings->count; i++) {
        struct holding *holding = &holdings->list[i];

        if (holding->object != (struct user_object *)object || holding->references < count)
            continue;
        holding->references -= count;
        release(holding->object, count);
        if (!holding->references)
            *holding = holdings->list[--holdings->count];
        return sim_leave(CUDA_SUCCESS);
    }
    return sim_leave(CUDA_ERROR_INVALID_VALUE);
}
