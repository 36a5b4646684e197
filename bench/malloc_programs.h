/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malloc_programs.h - whole programs with the library's malloc against libc's (M3): those of malloc_loads.c, and a
 * few of the system's, where they are installed. Processor time of all their threads, from start to end.
 */
#ifndef EBB_BENCH_MALLOC_PROGRAMS_H
#define EBB_BENCH_MALLOC_PROGRAMS_H

#include "rounds.h"

void malloc_programs_measure(struct rounds *rounds);

#endif
