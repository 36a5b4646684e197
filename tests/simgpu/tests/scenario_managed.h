/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_TESTS_SCENARIO_MANAGED_H
#define SIMGPU_TESTS_SCENARIO_MANAGED_H

/*
 * Managed memory on a device of 16 MiB: 8 MiB are sent away under the kernel that uses them, and before a set that
 * nothing orders after that; they and 12 MiB more are asked for, so that 4 MiB leave; 2 MiB of these are used over
 * the link. All of it is left allocated.
 */
void paged(void);

#endif
