/* SPDX-License-Identifier: Apache-2.0 */
/* Loads, stores, atomics, addresses. */
#include "ptx/family.h"

#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

/* What steers caches, scopes and order. Everything here is as strong as any of it. */
static const char hints[] =
    "ca cg cs cv lu wb wt nc unified L1::evict_normal L1::evict_unchanged L1::evict_first L1::evict_last "
    "L1::no_allocate L2::64B L2::128B L2::256B L2::cache_hint L2::evict_first L2::evict_last "
    "L2::evict_normal "
    "cta cluster gpu sys weak mmio";

static unsigned bytes_of(struct emitter *emitter, const struct ptx_type *type)
{
    if (type->bits < 8)
        emit_fail(emitter, "%s of .%s is not known", emitter->instruction->opcode, type->name);
    return type->bits / 8;
}

/* An element of a vector, or the operand itself. */
static const struct ptx_operand *element(struct emitter *emitter, const struct ptx_operand *operand,
                                         unsigned number, unsigned count)
{
    if (count == 1 && operand->kind != OPERAND_VECTOR)
        return operand;
    if (operand->kind != OPERAND_VECTOR || operand->count != count)
        emit_fail(emitter, "%s wants %u elements", emitter->instruction->opcode, count);
    return &operand->items[number];
}

/* Loads and stores that others see in their order: word is what makes them so. */
static bool is_ordered(struct emitter *emitter, const char *word, const struct ptx_type *type)
{
    if (!word || strcmp(word, "weak") == 0 || type->bits > 64)
        return false;
    /* Who looks at memory again and again may wait for another thread of the block. */
    emitter->needs_fibers = true;
    return true;
}

void emit_load(struct emitter *emitter)
{
    const char *order = emit_one_of(emitter, "volatile relaxed acquire weak"), *address;
    enum ptx_space space = emit_space(emitter);
    unsigned count = emit_vector(emitter), bytes;
    const struct ptx_type *type = emit_need_type(emitter);
    const struct ptx_operand *to = emit_operand(emitter, 0);
    bool ordered = is_ordered(emitter, order, type);
    const char *values[8];

    emit_ignore(emitter, hints);
    emit_expect_count(emitter, 2, 3);
    bytes = bytes_of(emitter, type);
    address = emit_access(emitter, emit_operand(emitter, 1), space, bytes * count);
    if (ordered)
        text_put(&emitter->out, "ptx_spin(t); ");
    for (unsigned i = 0; i < count; i++) {
        const char *value = values[i] = emit_temporary(emitter);

        if (ordered)
            text_put(&emitter->out,
                     "%s %s; { u%u y = __atomic_load_n((const u%u *)(%s + %u), __ATOMIC_ACQUIRE); "
                     "__builtin_memcpy(&%s, &y, %u); } ",
                     type->c, value, type->bits, type->bits, address, i * bytes, value, bytes);
        else
            text_put(&emitter->out, "%s %s = *(const %s *)(%s + %u); ", type->c, value, type->c, address,
                     i * bytes);
    }
    for (unsigned i = 0; i < count; i++)
        emit_assign(emitter, element(emitter, to, i, count), type, values[i]);
}

void emit_store(struct emitter *emitter)
{
    const char *order = emit_one_of(emitter, "volatile relaxed release weak"), *address;
    enum ptx_space space = emit_space(emitter);
    unsigned count = emit_vector(emitter), bytes;
    const struct ptx_type *type = emit_need_type(emitter);
    const struct ptx_operand *from = emit_operand(emitter, 1);
    bool ordered = order && strcmp(order, "weak") != 0 && type->bits <= 64;

    emit_ignore(emitter, hints);
    emit_expect_count(emitter, 2, 3);
    bytes = bytes_of(emitter, type);
    address = emit_access(emitter, emit_operand(emitter, 0), space, bytes * count);
    for (unsigned i = 0; i < count; i++) {
        const char *value = emit_value(emitter, element(emitter, from, i, count), type);

        if (ordered)
            text_put(&emitter->out,
                     "{ %s x = %s; u%u y; __builtin_memcpy(&y, &x, %u); "
                     "__atomic_store_n((u%u *)(%s + %u), y, __ATOMIC_RELEASE); } ",
                     type->c, value, type->bits, bytes, type->bits, address, i * bytes);
        else
            text_put(&emitter->out, "*(%s *)(%s + %u) = %s; ", type->c, address, i * bytes, value);
    }
}

/* The names of device code for what an operation may be of. */
static bool is_atomic(const char *operation, const struct ptx_type *type)
{
    static const struct {
        const char *operation, *types;
    } forms[] = {{"add", " u32 s32 u64 s64 f32 f64 f16 bf16 f16x2 bf16x2 "},
                 {"min", " u32 s32 u64 s64 f16 bf16 f16x2 bf16x2 "},
                 {"max", " u32 s32 u64 s64 f16 bf16 f16x2 bf16x2 "},
                 {"and", " b32 b64 "},
                 {"or", " b32 b64 "},
                 {"xor", " b32 b64 "},
                 {"exch", " b32 b64 b128 "},
                 {"cas", " b16 b32 b64 b128 "},
                 {"inc", " u32 "},
                 {"dec", " u32 "}};
    char name[16] = " ";

    strncat(strncat(name, type->name, 8), " ", 2);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].operation, operation) == 0)
            return strstr(forms[i].types, name);
    return false;
}

void emit_atomic(struct emitter *emitter)
{
    bool has_result = strcmp(emitter->instruction->opcode, "atom") == 0, is_cas;
    enum ptx_space space = emit_space(emitter);
    const char *operation = emit_one_of(emitter, "add min max and or xor exch cas inc dec"), *address, *value;
    unsigned count = emit_vector(emitter), first = has_result ? 2 : 1;
    const struct ptx_type *type = emit_need_type(emitter);

    emit_ignore(emitter, "relaxed acquire release acq_rel noftz");
    emit_ignore(emitter, hints);
    if (!operation || !is_atomic(operation, type))
        emit_fail(emitter, "%s.%s of .%s is not known", emitter->instruction->opcode,
                  operation ? operation : "?", type->name);
    is_cas = strcmp(operation, "cas") == 0;
    if (is_cas && (count != 1 || !has_result))
        emit_fail(emitter, "cas has one value and a result");
    emit_expect_count(emitter, first + 1, first + 2 + is_cas);
    address = emit_access(emitter, emit_operand(emitter, first - 1), space, bytes_of(emitter, type) * count);
    /* Who fails to exchange tries again, maybe until another thread of the block has gone on. */
    if (is_cas || strcmp(operation, "exch") == 0)
        text_put(&emitter->out, "ptx_spin(t); ");
    for (unsigned i = 0; i < count; i++) {
        const struct ptx_operand *by = element(emitter, emit_operand(emitter, first), i, count);

        value = emit_value(emitter, by, type);
        if (is_cas)
            value = PRINT("%s, %s", value, emit_value(emitter, emit_operand(emitter, first + 1), type));
        value = PRINT("ptx_atom_%s_%s((u8 *)(%s + %u), %s)", operation, type->name, address,
                      i * bytes_of(emitter, type), value);
        if (has_result)
            emit_assign(emitter, element(emitter, emit_operand(emitter, 0), i, count), type, value);
        else
            text_put(&emitter->out, "(void)%s; ", value);
    }
}

/* Generic addresses are those of this process, and so are all but the shared ones. */
void emit_address_of(struct emitter *emitter)
{
    bool to_space = emit_has(emitter, "to");
    enum ptx_space space = emit_space(emitter);
    const struct ptx_type *type = emit_need_type(emitter);
    const char *value = emit_value(emitter, emit_operand(emitter, 1), type);

    emit_expect_count(emitter, 2, 2);
    if (space == SPACE_SHARED && to_space)
        value = PRINT("(%s)(%s - (u64)s->shared)", type->c, value);
    else if (space == SPACE_SHARED)
        value = PRINT("(%s)((u64)s->shared + (u32)%s)", type->c, value);
    emit_assign(emitter, emit_operand(emitter, 0), type, value);
}

void emit_is_space(struct emitter *emitter)
{
    enum ptx_space space = emit_space(emitter);
    const char *value, *shared, *local;

    emit_expect_count(emitter, 2, 2);
    value = emit_value(emitter, emit_operand(emitter, 1), ptx_type_find("u64"));
    shared = PRINT("(%s - (u64)s->shared < s->shared_bytes)", value);
    local = PRINT("(%s - (u64)__builtin_frame_address(0) + (1u << 18) < (1u << 19))", value);
    if (space == SPACE_SHARED)
        value = shared;
    else if (space == SPACE_LOCAL)
        value = local;
    else if (space == SPACE_GLOBAL)
        value = PRINT("!(%s || %s)", shared, local);
    else
        emit_fail(emitter, "isspacep of that space is not known");
    emit_assign(emitter, emit_operand(emitter, 0), ptx_type_find("pred"), value);
}

/* How much of the source is copied: so many bytes, or all unless a predicate says that it is not to be looked at. */
static const char *copied_bytes(struct emitter *emitter, const struct ptx_operand *operand, unsigned bytes)
{
    if (operand->kind == OPERAND_REGISTER && operand->symbol->type->kind == TYPE_PREDICATE)
        return PRINT("(%s ? 0 : %u)", emit_predicate(emitter, operand), bytes);
    return emit_u32(emitter, operand);
}

/* Memory of the function's own stack, which takes its places back where it returns. */
void emit_stack_take(struct emitter *emitter)
{
    const struct ptx_type *type = emit_need_type(emitter);
    unsigned align = 8;

    emit_expect_count(emitter, 2, 3);
    if (emitter->instruction->count == 3)
        align = (unsigned)emit_immediate(emitter, emit_operand(emitter, 2));
    if (!align || align > PTX_STACK_ALIGN || (align & (align - 1)))
        emit_fail(emitter, "alloca aligns to 1, 2, 4 and so on until %u", PTX_STACK_ALIGN);
    emit_assign(emitter, emit_operand(emitter, 0), type,
                PRINT("(%s)ptx_stack_take(t, s, stack, &stack_used, %s, %u)", type->c,
                      emit_value(emitter, emit_operand(emitter, 1), type), align));
}

void emit_stack_save(struct emitter *emitter)
{
    const struct ptx_type *type = emit_need_type(emitter);

    emit_expect_count(emitter, 1, 1);
    emit_assign(emitter, emit_operand(emitter, 0), type, PRINT("(%s)stack_used", type->c));
}

void emit_stack_restore(struct emitter *emitter)
{
    const struct ptx_type *type = emit_need_type(emitter);

    emit_expect_count(emitter, 1, 1);
    text_put(&emitter->out, "stack_used = (u32)%s; ", emit_value(emitter, emit_operand(emitter, 0), type));
}

/* cp.async: done at once, so that waiting for it is nothing. */
void emit_copy_async(struct emitter *emitter)
{
    const char *to, *from, *size;
    unsigned bytes;

    if (!emit_has(emitter, "async"))
        emit_fail(emitter, "cp without .async is not known");
    if (emit_has(emitter, "mbarrier") && emit_has(emitter, "arrive")) {
        emit_copy_arrive(emitter);
        return;
    }
    if (emit_one_of(emitter, "commit_group wait_group wait_all"))
        return;
    emit_ignore(emitter, hints);
    if (!emit_one_of(emitter, "shared shared::cta shared::cluster") || !emit_has(emitter, "global"))
        emit_fail(emitter, "cp.async is known from global to shared memory alone");
    emit_expect_count(emitter, 3, 5);
    bytes = (unsigned)emit_immediate(emitter, emit_operand(emitter, 2));
    if (bytes != 4 && bytes != 8 && bytes != 16)
        emit_fail(emitter, "cp.async copies 4, 8 or 16 bytes");
    size = PRINT("%u", bytes);
    if (emitter->instruction->count > 3)
        size = copied_bytes(emitter, emit_operand(emitter, 3), bytes);
    to = emit_access(emitter, emit_operand(emitter, 0), SPACE_SHARED, bytes);
    text_put(&emitter->out, "if (%s) { ", size);
    from = emit_access(emitter, emit_operand(emitter, 1), SPACE_GLOBAL, bytes);
    text_put(
        &emitter->out,
        "__builtin_memset((u8 *)%s, 0, %u); __builtin_memcpy((u8 *)%s, (const u8 *)%s, %s < %u ? %s : %u); } "
        "else __builtin_memset((u8 *)%s, 0, %u); ",
        to, bytes, to, from, size, bytes, size, bytes, to, bytes);
}

/* What changes nothing that can be seen here. */
void emit_nothing(struct emitter *emitter)
{
    const struct ptx_instruction *instruction = emitter->instruction;

    if (strcmp(instruction->opcode, "fence") == 0 || strcmp(instruction->opcode, "membar") == 0) {
        if (emit_has(emitter, "proxy"))
            emit_ignore(emitter,
                        "async async::generic alias global shared::cta shared::cluster tensormap::generic");
        emit_ignore(emitter, "sync_restrict::shared::cta sync_restrict::shared::cluster");
        emit_ignore(emitter, "mbarrier_init cta cluster gpu gl sys sc acq_rel acquire release");
        text_put(&emitter->out, "ptx_fence(); ");
        return;
    }
    emitter->words_used = UINT32_MAX;
}

/* A cache's policy is a number that nobody looks at. */
void emit_policy(struct emitter *emitter)
{
    emitter->words_used = UINT32_MAX;
    emit_assign(emitter, emit_operand(emitter, 0), ptx_type_find("b64"), "0");
}

/* A cluster is one block, so that its shared memory is where it is for the block. */
void emit_map_cluster(struct emitter *emitter)
{
    const struct ptx_type *type;

    (void)emit_space(emitter);
    type = emit_need_type(emitter);
    emit_expect_count(emitter, 3, 3);
    (void)emit_u32(emitter, emit_operand(emitter, 2));
    emit_assign(emitter, emit_operand(emitter, 0), type, emit_value(emitter, emit_operand(emitter, 1), type));
}

/* And its only rank is 0. */
void emit_cluster_rank(struct emitter *emitter)
{
    (void)emit_space(emitter);
    (void)emit_need_type(emitter);
    emit_expect_count(emitter, 2, 2);
    emit_assign(emitter, emit_operand(emitter, 0), ptx_type_find("u32"), "0");
}
