/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User objects: what programs tie to graphs. A CUuserObject is the address of one. When its last reference goes its
 * destructor runs, soon, on a thread of the driver's own, so that no call that drops one runs the program's code.
 */
#ifndef SIMGPU_USER_OBJECT_H
#define SIMGPU_USER_OBJECT_H

#include "driver/sim.h"

struct user_object;

/* References to one object. */
struct holding {
    struct user_object *object;
    size_t references;
};

/* What a graph or an instance of one holds: each object once. All zeros is none. */
struct holdings {
    struct holding *list; /* owned */
    size_t count;
};

/* Adds as many references as another has. False when memory is out, with a part of them. */
bool holdings_join(struct holdings *holdings, const struct holdings *from);

/* Gives all of them up. */
void holdings_drop(struct holdings *holdings);

#endif
