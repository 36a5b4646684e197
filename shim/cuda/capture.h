/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.h - which stream captures are open. Kept by the hooks of hook_capture.c.
 *
 * Threads  any.
 */
#ifndef EBB_CAPTURE_H
#define EBB_CAPTURE_H

#include "hook/hooks.h"

/** Whether any capture is open. One load. */
bool capture_open(void);

/** Around a call that would break an open capture: none begins meanwhile. False: one is open, do not call. Short, since
 *  the program's begin waits for it. */
bool capture_hold_off(void);
void capture_let_begin(void);

/** Whether what is submitted to the stream now is recorded instead of run. One load while no capture is open.
 *  `per_thread`: stream 0 is the thread's own. */
bool capture_records(CUstream stream, bool per_thread);

/** A context was destroyed or reset, and the captures of its streams with it. */
void capture_context_gone(CUcontext context);

#endif
