/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.h - which stream captures are open. While one is, nothing is drained: any synchronisation would invalidate it.
 *
 * Threads  any.
 */
#ifndef EBB_CAPTURE_H
#define EBB_CAPTURE_H

#include "cuda/real.h"

/** True while any capture is open. One load. */
bool capture_open(void);

/** Around a call that would break an open capture: none begins meanwhile. False: one is open, do not call. Short, since
 *  the program's begin waits for it. */
bool capture_hold_off(void);
void capture_let_begin(void);

/** True when work that is submitted to the stream now is recorded instead of run. One load while no capture is open.
 *  `per_thread`: stream 0 is the thread's own. */
bool capture_records(CUstream stream, bool per_thread);

/** A capture on its way into the table. */
struct capture {
    CUcontext context; /**< of the stream; NULL: not known */
};

/** Before the real begin: waits for who holds captures off. capture_begun in any case. */
struct capture capture_announce(CUstream stream, bool per_thread);
/** The real begin answered `result`, which is returned. */
CUresult capture_begun(CUresult result, const struct capture *capture, CUstream stream, bool per_thread);
/** The real end was called. An invalidated capture ends with an error; one of another thread or stream goes on. */
void capture_ended(CUstream stream, bool per_thread);
void capture_stream_gone(CUstream stream);

/** A context was destroyed or reset, and the captures of its streams with it. */
void capture_context_gone(CUcontext context);

#endif
