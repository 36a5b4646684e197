/* SPDX-License-Identifier: Apache-2.0 */
/* Barriers in shared memory. */
#include "ptx/family.h"

#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

/* The barrier's address, checked as a load's is. */
static const char *barrier_at(struct emitter *emitter, unsigned number)
{
    enum ptx_space space = emit_space(emitter);

    return emit_access(emitter, emit_operand(emitter, number), space, 8);
}

static void emit_arrive(struct emitter *emitter, bool drops)
{
    const struct ptx_type *b64 = ptx_type_find("b64");
    const struct ptx_operand *state = emit_operand(emitter, 0);
    bool expects = emit_has(emitter, "expect_tx"), has_state = state->kind != OPERAND_ADDRESS;
    const char *address, *count = "1", *bytes = "0", *value;

    emit_ignore(emitter, "noComplete release relaxed cta cluster");
    emit_expect_count(emitter, 1 + has_state + expects, 2 + has_state);
    address = barrier_at(emitter, has_state);
    if (emitter->instruction->count > 1u + has_state)
        *(expects ? &bytes : &count) = emit_u32(emitter, emit_operand(emitter, 1 + has_state));
    value = PRINT("ptx_mbarrier_arrive(t, %s, %s, %u, %s)", address, count, drops, bytes);
    if (has_state)
        emit_assign(emitter, state, b64, value);
    else
        text_put(&emitter->out, "%s; ", value);
}

/* test_wait and try_wait: a try may take its time, which is none here. */
static void emit_wait(struct emitter *emitter)
{
    bool by_parity = emit_has(emitter, "parity");
    const struct ptx_operand *operand = emit_operand(emitter, 2);
    const char *address, *parity;

    emit_ignore(emitter, "acquire relaxed cta cluster");
    emit_expect_count(emitter, 3, 4);
    address = barrier_at(emitter, 1);
    parity = by_parity ? PRINT("%s & 1", emit_u32(emitter, operand))
                       : PRINT("%s >> 63", emit_value(emitter, operand, ptx_type_find("b64")));
    emitter->needs_fibers = true;
    emit_assign(emitter, emit_operand(emitter, 0), ptx_type_find("pred"),
                PRINT("ptx_mbarrier_test(t, %s, %s)", address, parity));
}

static void emit_bytes(struct emitter *emitter, const char *sign)
{
    emit_ignore(emitter, "relaxed cta cluster");
    emit_expect_count(emitter, 2, 2);
    text_put(&emitter->out, "ptx_mbarrier_expect(%s, %s(s32)%s); ", barrier_at(emitter, 0), sign,
             emit_u32(emitter, emit_operand(emitter, 1)));
}

void emit_mbarrier(struct emitter *emitter)
{
    const char *what =
        emit_one_of(emitter, "init inval arrive arrive_drop test_wait try_wait complete_tx pending_count");

    if (!what && emit_has(emitter, "expect_tx")) {
        emit_bytes(emitter, "");
    } else if (!what) {
        emit_fail(emitter, "mbarrier of that kind is not known");
    } else if (strcmp(what, "init") == 0) {
        emit_expect_count(emitter, 2, 2);
        text_put(&emitter->out, "ptx_mbarrier_init(%s, %s); ", barrier_at(emitter, 0),
                 emit_u32(emitter, emit_operand(emitter, 1)));
    } else if (strcmp(what, "inval") == 0) {
        emit_expect_count(emitter, 1, 1);
        text_put(&emitter->out, "*(u64 *)%s = 0; ", barrier_at(emitter, 0));
    } else if (strcmp(what, "complete_tx") == 0) {
        emit_bytes(emitter, "-");
    } else if (strcmp(what, "pending_count") == 0) {
        emit_expect_count(emitter, 2, 2);
        emit_assign(emitter, emit_operand(emitter, 0), ptx_type_find("u32"),
                    PRINT("ptx_mbarrier_pending(%s)",
                          emit_value(emitter, emit_operand(emitter, 1), ptx_type_find("b64"))));
    } else if (strncmp(what, "arrive", 6) == 0) {
        emit_arrive(emitter, strcmp(what, "arrive_drop") == 0);
    } else {
        emit_wait(emitter);
    }
    if (emit_need_type(emitter) != ptx_type_find("b64"))
        emit_fail(emitter, "mbarrier is of .b64");
}

/* cp.async is over at once. With noinc it is one of the arrivals that the barrier waits for, and else one more. */
void emit_copy_arrive(struct emitter *emitter)
{
    bool is_counted = emit_has(emitter, "noinc");
    const char *address;

    emit_expect_count(emitter, 1, 1);
    address = barrier_at(emitter, 0);
    if (emit_need_type(emitter) != ptx_type_find("b64"))
        emit_fail(emitter, "mbarrier is of .b64");
    if (is_counted)
        text_put(&emitter->out, "ptx_mbarrier_arrive(t, %s, 1, 0, 0); ", address);
}
