/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMGPU_TESTS_SCENARIO_ORDER_H
#define SIMGPU_TESTS_SCENARIO_ORDER_H

/* One write after the other to the same bytes, with every way in which order comes about between them. */
void all_ordered(void);

/* A stream waits for a word that another one, which comes later, or the host writes behind its work. */
void value_ordered(void);

/* A stream writes a word while another one, which does not know of it, copies it. */
void value_unordered(void);

#endif
