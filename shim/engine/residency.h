/* SPDX-License-Identifier: Apache-2.0 */
/*
 * residency.h - can evicted blocks stay where kernels find them, in host memory at their addresses?
 *
 * Whether host memory can be mapped the device says before its first block, and core_residency is told; whether kernels
 * and copies find there what was written is tried when the first block of a device is about to leave it.
 */
#ifndef EBB_RESIDENCY_H
#define EBB_RESIDENCY_H

#include <stdbool.h>

/** As far as is known when the core starts. */
bool residency_mapped(void);

/** Try it out on a device that was not tried. Role held, gate closed, device at rest: else a kernel of ours might wait for
 *  one of the program's. Afterwards core.mapped says what is known. */
void residency_prove(unsigned ordinal);

#endif
