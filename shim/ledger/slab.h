/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slab.h - what the core's stocks are filled with: device memory of each device, and slabs of host memory.
 *
 * A slab is known by the address of its record, which never moves.
 */
#ifndef EBB_STOCKS_H
#define EBB_STOCKS_H

/** Empty stocks for every device of core.device, and for slabs. Before anybody else uses the core. */
void slabs_init(void);

#endif
