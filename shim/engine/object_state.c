/* SPDX-License-Identifier: Apache-2.0 */
/* object_state.c - see object_state.h. */
#include "engine/object_state.h"

#include "engine/restore.h"
#include "ledger/busy.h"

void object_hold(uint32_t first)
{
    atomic_fetch_add(&core.blocks.block[first].launch_pins, 1);
}

void object_let_go(uint32_t first)
{
    atomic_fetch_sub(&core.blocks.block[first].launch_pins, 1);
    core_tell_change();
}

int object_bring(uint32_t first)
{
    struct object *object = &core.blocks.object[first];
    int error;

    object_hold(first);
    object->flags |= OBJECT_KEEP;
    error = restore_block(first);
    object->flags &= (uint8_t)~OBJECT_KEEP;
    object_let_go(first);
    return error;
}
