/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch_preload.h - what a launch pays (L2) in an unmodified program on the simulated GPU, with and without the
 * library.
 */
#ifndef EBB_BENCH_LAUNCH_PRELOAD_H
#define EBB_BENCH_LAUNCH_PRELOAD_H

#include "rounds.h"

void launch_preload_measure(struct rounds *rounds);

#endif
