/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h - how much of the link evicting and restoring use (E1): a program that streams over twice its budget on the
 * simulated GPU, against plain copies of pinned memory without the library.
 */
#ifndef EBB_BENCH_LINK_H
#define EBB_BENCH_LINK_H

#include "rounds.h"

void link_measure(struct rounds *rounds);

#endif
