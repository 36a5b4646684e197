/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pressure_callback.h - asking the program for room before a request is refused.
 *
 * Threads  any; nothing of ours is locked or held by the caller, since the program's function may call us.
 */
#ifndef EBB_PRESSURE_H
#define EBB_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebbtide.h"

/** How often one request asks before it is refused all the same. */
enum {
    PRESSURE_TRIES = 16
};

void pressure_callback_set(ebb_pressure_fn fn, void *arg);

/** Ask. True: it has given something, so try again. Always false without a function, and inside of it. */
bool pressure_callback_ask(int tier, int device, uint64_t bytes);

/** Is this thread inside the program's function? */
bool pressure_callback_asking(void);

/** In a forked child: nobody is asked. */
void pressure_callback_forked(void);

#endif
