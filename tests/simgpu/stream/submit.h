/* SPDX-License-Identifier: Apache-2.0 */
/* From an entry to a stream: one way for all work, captured or not. */
#ifndef SIMGPU_SUBMIT_H
#define SIMGPU_SUBMIT_H

#include "stream/stream.h"
#include "stream/work.h"

enum submit_mode {
    SUBMIT_ASYNC,
    SUBMIT_WAIT, /* asynchronous work, but the call returns only when it is complete; not so while capturing
                  */
    SUBMIT_SYNC  /* a synchronous call: forbidden while capturing */
};

/*
 * Takes the work over, failed or not. The stream must not have been destroyed. Errors: those of capture, out
 * of memory, the sticky error if a call that waits meets it.
 */
CUresult submit(struct stream *stream, struct work *work, enum submit_mode mode);

/* Submits work that names no memory, after an operation (NULL: none), and hands it out with a reference. Takes the work
 * over, failed or not. */
CUresult submit_work(struct stream *stream, struct work *work, struct op *after, struct op **point);

/* Submits an order point after an operation (NULL: none) and hands it out with a reference. */
CUresult submit_point(struct stream *stream, struct op *after, struct op **point);

#endif
