/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay_time.h - traces as real launches (replay_program.c) on the simulated GPU: how long they take by LRU, with look-ahead, with
 * managed memory that the driver pages, and on a device that is large enough.
 *
 * Scale    blocks are a part as large as in the trace, and the link is as slow as it is told to be; what kernels take, a fault
 *          and a call that maps are stretched as a move is, beside kernels at 2 TB/s and a link of 25 GB/s. So ratios
 *          are those of the whole but for what the library's own work takes, which counts for less.
 * Prints   a row for each cell: medians over the rounds, in each of which the four take turns in another order; look-ahead by
 *          LRU also by the shortest times of both (`best`), which what else the machine does moves less.
 */
#ifndef EBB_BENCH_REPLAY_TIME_H
#define EBB_BENCH_REPLAY_TIME_H

#include "trace.h"

struct replay_time {
    unsigned rounds;
    uint32_t part; /**< blocks are a `part`th as large; whoever calls has seen to that */
    double gbps;   /**< of the link, each direction */
    unsigned cells, failed;
    double log_look, log_paged; /**< sums, by LRU */
};

void replay_time_head(const struct replay_time *time);
/** @trace  shrunk and cut; `whole` launches before that */
void replay_time_cell(struct replay_time *time, const struct trace *trace, uint32_t whole, unsigned percent);
void replay_time_end(const struct replay_time *time);

#endif
