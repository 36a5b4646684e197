/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_TESTS_ORDERED_H
#define SIMGPU_TESTS_ORDERED_H

/* One write after the other to the same bytes, with every way in which order comes about between them. */
void all_ordered(void);

#endif
