/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What everything in the simulated driver shares: one lock, the calling thread's state, time.
 *
 * Lock order. sim.lock guards all state of the driver and is the only lock of it. It is never held while the
 * program's code runs (kernels, host functions, module constructors), while bytes are copied, or while a
 * thread waits (the condition variables give it up). Functions are called with it held unless their comment
 * says otherwise; bodies of entries (sim_cuXxx) are called without it.
 */
#ifndef SIMGPU_SIM_H
#define SIMGPU_SIM_H

#include "driver/entry.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct context;
struct op;

struct sim {
    pthread_mutex_t lock;
    pthread_cond_t done; /* some operation has completed */
    unsigned waiters;    /* threads in wait for done */
    bool initialized;    /* cuInit has succeeded; read without the lock */
    bool forked;         /* this process is a fork of one that had initialised: nothing works here */
    bool finished;       /* the library's destructor has run */
};

extern struct sim sim;

/* The calling thread. */
struct thread {
    struct context **contexts; /* the stack of current contexts, top last */
    unsigned depth, room;
    bool per_thread;       /* what the null stream means in the current call */
    unsigned capture_mode; /* CUstreamCaptureMode */
    uint64_t id;           /* from 1; 0: not asked yet */
    sigjmp_buf *guard;     /* where an illegal address leads, while device code runs here */
    uintptr_t fault;       /* the address that led there */
    bool strict;           /* any address that faults is the device's: nothing but generated code runs */
    CUresult failure;      /* CUDA_SUCCESS, or what led there is no address but this error */
    bool (*escape)(void);  /* NULL, or how device code that has another stack comes back to the thread's */
    struct op *running;    /* the operation that runs on this thread */
};

extern __thread struct thread thread __attribute__((tls_model("initial-exec")));

/* A number for the calling thread, never used twice. What the thread has here ends with it from then on. */
uint64_t thread_id(void);

/* Makes thread_id able to notice the end of threads. */
CUresult thread_start(void);

void sim_lock(void);

/* Also gives physical memory back that store_give has put aside. */
void sim_unlock(void);

/* Waits for the next completed operation. */
void sim_wait(void);

uint64_t now_ns(void);
void sleep_until(uint64_t deadline_ns);

/* Unlocks and passes the result through: `return sim_leave(result)` ends most entries. */
static inline CUresult sim_leave(CUresult result)
{
    sim_unlock();
    return result;
}

#endif
