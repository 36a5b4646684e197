/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_TESTS_SCENARIO_THREADS_H
#define SIMGPU_TESTS_SCENARIO_THREADS_H

/* Ends the process with 2 if any byte is wrong. */
void storm(void);

#endif
