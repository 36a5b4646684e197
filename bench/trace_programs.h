/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_programs.h - programs that never ran: the order in which such as train, infer, query or draw at random would use
 * their blocks, as traces. The same ones each time.
 */
#ifndef EBB_BENCH_TRACE_PROGRAMS_H
#define EBB_BENCH_TRACE_PROGRAMS_H

#include "trace.h"

struct trace_program {
    const char *name;
    void (*make)(struct trace *trace); /**< into one that is initialized; not settled */
};

extern const struct trace_program trace_programs[];
extern const unsigned trace_programs_count;

#endif
