/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recording.h - EBBTIDE_RECORD: what the program asks of its devices, written down while it runs.
 *
 * File     words of 32 bits in the order of the machine, as `bench_replay` reads them:
 *          0 BLOCK GRANULES                              a block is made; no number is used twice
 *          1 BLOCK                                       it is freed
 *          2 FUNCTION STREAM NANOSECONDS COUNT, and COUNT times BLOCK FLAGS PART REUSE
 *                                                        a call uses blocks. FUNCTION: 0 it reads, 1 it may write, else a
 *                                                        kernel, by the order in which they came; NANOSECONDS: not measured,
 *                                                        what it takes to go over its blocks at 2 TB/s; FLAGS 1: it may
 *                                                        write; PART, REUSE: the whole block, once
 *          Small allocations are the block that they share.
 * Shape    what happens is put into memory of one size, in the order in which it happens; whoever holds no lock and finds that
 *          half full writes it to the file, and the timer each time.
 * Threads  any. _made and _freed with core.lock; the others without.
 * Errors   one line; from then on nothing is recorded, and the file ends with a whole operation.
 */
#ifndef EBB_RECORDING_H
#define EBB_RECORDING_H

#include <stdint.h>

struct use;

/** Begin, before there are blocks, if options->record_path says where. */
void recording_start(void);

/** A block begins to live, or lives no more. */
void recording_made(uint32_t first);
void recording_freed(uint32_t first);

/** A call uses what is listed. */
void recording_note(const struct use *use);

/** Write what there is. Nothing while nothing is recorded. */
void recording_write(void);

/** Write it, and record nothing more. */
void recording_finish(void);

/** In a forked child: the file is its parent's. */
void recording_forked(void);

#endif
