/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each instruction of the reference on values at the edges, and sequences of them: PTX text in, by way of the driver, against
 * what the reference says. SIMGPU_TEST_SEED begins elsewhere.
 */
#include "driver.h"
#include "ptx/tests/conform.h"
#include "ptx/tests/reference.h"

#include <criterion/criterion.h>
#include <string.h>

enum {
    TUPLES = 1024,
    AT_ONCE = 40, /* instructions in a kernel */
    PRINTED = 40
};

/* splitmix64 */
static u64 next_random(u64 *state)
{
    u64 value = *state += 0x9e3779b97f4a7c15;

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

/* The first is every edge with every edge; the third goes round by itself. */
static u64 operand(enum kind kind, unsigned which, unsigned tuple)
{
    u64 state = (u64)kind << 40 | (u64)which << 32 | tuple, random = next_random(&state);

    if (tuple >= EDGES * EDGES)
        return kind_value(kind, random % 8 == 0 ? (unsigned)(random >> 8) % EDGES : EDGES,
                          next_random(&state));
    return kind_value(kind, which == 0 ? tuple % EDGES : which == 1 ? tuple / EDGES : tuple * 7 % EDGES, 0);
}

static unsigned operands(const struct row *row)
{
    return 1u + (row->a != K_none) + (row->b != K_none) + (row->c != K_none);
}

/* Operand number which of a kind lies at [%rd1 + its place]. */
static unsigned place(enum kind kind, unsigned which)
{
    return (kind * 3 + which) * TUPLES * 8;
}

static void write_row(struct source *source, const struct row *row, unsigned number)
{
    const enum kind kinds[] = {row->d, row->a, row->b, row->c};
    static const char *const names[128] = {
        ['d'] = "d", ['a'] = "a", ['b'] = "b", ['c'] = "c", ['t'] = "t", ['p'] = "p"};

    source_add(source, "{ .reg .pred p; .reg .%s d, t;\n", kind_type(row->d));
    for (unsigned i = 1; i < operands(row); i++)
        source_add(source, ".reg .%s %s; ld.global.%s %s, [%%rd1+%u];\n", kind_type(kinds[i]),
                   names["dabc"[i] & 127], kind_type(kinds[i]), names["dabc"[i] & 127],
                   place(kinds[i], i - 1));
    source_instruction(source, row->text, operands(row), names);
    source_add(source, "st.global.%s [%%rd2+%u], d; }\n", kind_type(row->d), number * TUPLES * 8);
}

static void write_kernel(struct source *source, const struct row *const *list, size_t count)
{
    source_add(source,
               ".visible .entry conform(.param .u64 in, .param .u64 out, .param .u64 x, .param .u64 y)\n"
               "{\n.reg .b32 %%r<4>;\n.reg .b64 %%rd<4>;\n"
               "ld.param.u64 %%rd1, [in];\nld.param.u64 %%rd2, [out];\n"
               "mov.u32 %%r1, %%tid.x;\nmov.u32 %%r2, %%ctaid.x;\nmov.u32 %%r3, %%ntid.x;\n"
               "mad.lo.s32 %%r1, %%r2, %%r3, %%r1;\nmul.wide.u32 %%rd3, %%r1, 8;\n"
               "add.s64 %%rd1, %%rd1, %%rd3;\nadd.s64 %%rd2, %%rd2, %%rd3;\n");
    for (size_t i = 0; i < count; i++)
        write_row(source, list[i], (unsigned)i);
    source_add(source, "ret;\n}\n");
}

static unsigned compare_row(const struct row *row, const u64 *out)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < TUPLES; i++) {
        u64 a = operand(row->a, 0, i), b = operand(row->b, 1, i), c = operand(row->c, 2, i);
        u64 expected = row->result(a, b, c);

        if (row_accepts(row, expected, out[i]))
            continue;
        if (++wrong <= 3)
            fprintf(stderr, "%s of %#lx, %#lx, %#lx is %#lx, not %#lx\n", row->text, a, b, c, out[i],
                    expected);
    }
    return wrong;
}

static u64 *all_operands(void)
{
    u64 *in = malloc((size_t)KINDS * 3 * TUPLES * sizeof *in);

    for (unsigned kind = 1; kind < KINDS; kind++)
        for (unsigned which = 0; which < 3; which++)
            for (unsigned i = 0; i < TUPLES; i++)
                in[(kind * 3 + which) * TUPLES + i] = operand((enum kind)kind, which, i);
    return in;
}

Test(conform, each_instruction_gives_what_the_reference_says)
{
    const struct row *const *list;
    size_t count = rows(&list), wrong = 0;
    u64 *in = all_operands(), *out = malloc(AT_ONCE * TUPLES * sizeof *out);
    CUdeviceptr params[4] = {0};

    start();
    params[0] = device_bytes(in, (size_t)KINDS * 3 * TUPLES * sizeof *in);
    params[1] = device_bytes(NULL, AT_ONCE * TUPLES * sizeof *out);
    for (size_t first = 0; first < count; first += AT_ONCE) {
        size_t some = count - first < AT_ONCE ? count - first : AT_ONCE;
        struct source source;
        CUmodule loaded;

        source_begin(&source);
        write_kernel(&source, list + first, some);
        loaded = source_load(&source);
        must(cuMemsetD8(params[1], 0, AT_ONCE * TUPLES * sizeof *out));
        must(kernel_run_and_wait(loaded, "conform", TUPLES / 128, 128, 0, params));
        must(cuMemcpyDtoH(out, params[1], AT_ONCE * TUPLES * sizeof *out));
        for (size_t i = 0; i < some; i++)
            wrong += compare_row(list[first + i], out + i * TUPLES) != 0;
        must(cuModuleUnload(loaded));
        source_end(&source);
    }
    free(in);
    free(out);
    cr_assert_eq(wrong, 0, "%zu of %zu instructions are wrong", wrong, count);
}

/* Sequences: a few registers of each type, and instructions on any of them, under predicates and behind branches. */
enum {
    CLASSES = 9,
    REGISTERS = 3,
    STEPS = 12,
    PREDICATES = 3,
    LANES = 32,
    SLOTS = CLASSES * REGISTERS,
    AT_A_TIME = 100 /* sequences in a kernel */
};

static const enum kind class_kinds[CLASSES] = {K_u16,   K_u32,    K_u64, K_f16, K_bf16,
                                               K_f16x2, K_bf16x2, K_f32, K_f64};

static unsigned class_of(enum kind kind)
{
    static const unsigned char classes[KINDS] = {0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8};

    return classes[kind];
}

enum step_kind {
    STEP_ROW,
    STEP_COMPARE, /* a predicate of two words */
    STEP_BRANCH   /* over so many of the next */
};

struct step {
    enum step_kind kind;
    const struct row *row;
    unsigned d, a, b, c; /* registers of their class; compare: d is the predicate; branch: d steps */
    int guard;           /* predicate, or -1 */
    bool negated;
};

struct state {
    u64 registers[CLASSES][REGISTERS];
    bool predicates[PREDICATES];
};

static bool fits(const struct row *row, bool guarded)
{
    return !(row->flags & ALONE) && !(guarded && strchr(row->text, ';'));
}

static struct step any_step(u64 *random, unsigned left)
{
    const struct row *const *list;
    size_t count = rows(&list);
    u64 dice = next_random(random);
    struct step step = {.kind = dice % 8 == 0   ? STEP_COMPARE
                                : dice % 8 == 1 ? STEP_BRANCH
                                                : STEP_ROW,
                        .guard = (int)(dice >> 8 & 3) - 1,
                        .negated = dice >> 16 & 1,
                        .d = (unsigned)(dice >> 20) % REGISTERS,
                        .a = (unsigned)(dice >> 28) % REGISTERS,
                        .b = (unsigned)(dice >> 36) % REGISTERS,
                        .c = (unsigned)(dice >> 44) % REGISTERS};

    if (step.kind == STEP_BRANCH)
        step.d = left < 3 ? left : (unsigned)(dice >> 52) % 3 + 1;
    if (step.kind == STEP_COMPARE)
        step.guard = -1;
    do
        step.row = list[next_random(random) % count];
    while (!fits(step.row, step.guard >= 0));
    return step;
}

static unsigned do_step(const struct step *step, struct state *state)
{
    const struct row *row = step->row;
    const u64 *words = state->registers[class_of(K_u32)];
    u64 result;

    if (step->guard >= 0 && state->predicates[step->guard] == step->negated)
        return 0;
    if (step->kind == STEP_BRANCH)
        return step->d;
    if (step->kind == STEP_COMPARE) {
        state->predicates[step->d] = (s32)words[step->a] < (s32)words[step->b];
        return 0;
    }
    result =
        row->result(state->registers[class_of(row->a)][step->a], state->registers[class_of(row->b)][step->b],
                    state->registers[class_of(row->c)][step->c]);
    state->registers[class_of(row->d)][step->d] = result;
    return 0;
}

static u64 lane_value(unsigned slot, unsigned lane, u64 seed)
{
    u64 state = seed + slot * LANES + lane, random = next_random(&state);

    return kind_value(class_kinds[slot / REGISTERS], random % 2 ? (unsigned)(random >> 8) % EDGES : EDGES,
                      next_random(&state)) &
           (kind_bytes(class_kinds[slot / REGISTERS]) == 8
                ? ~(u64)0
                : ((u64)1 << 8 * kind_bytes(class_kinds[slot / REGISTERS])) - 1);
}

static const char *name_of(char *name, enum kind kind, unsigned number)
{
    sprintf(name, "x%u_%u", class_of(kind), number);
    return name;
}

static void write_step(struct source *source, const struct step *step, unsigned number)
{
    char names[6][16];
    const char *map[128] = {['p'] = "q", ['t'] = names[4]};

    if (step->guard >= 0)
        source_add(source, "@%sp%d ", step->negated ? "!" : "", step->guard);
    if (step->kind == STEP_BRANCH) {
        source_add(source, "bra L%u;\n", number + step->d);
    } else if (step->kind == STEP_COMPARE) {
        source_add(source, "setp.lt.s32 p%u, x1_%u, x1_%u;\n", step->d, step->a, step->b);
    } else {
        map['d'] = name_of(names[0], step->row->d, step->d);
        map['a'] = name_of(names[1], step->row->a, step->a);
        map['b'] = name_of(names[2], step->row->b, step->b);
        map['c'] = name_of(names[3], step->row->c, step->c);
        sprintf(names[4], "t%u", class_of(step->row->d));
        source_instruction(source, step->row->text, operands(step->row), map);
    }
}

/* The registers that a row reads and writes, by slot. */
static unsigned slot_of(enum kind kind, unsigned number)
{
    return class_of(kind) * REGISTERS + number;
}

static void use(const struct step *step, bool *read, bool *written)
{
    if (step->kind == STEP_COMPARE)
        read[slot_of(K_u32, step->a)] = read[slot_of(K_u32, step->b)] = true;
    if (step->kind != STEP_ROW)
        return;
    read[slot_of(step->row->d, step->d)] = written[slot_of(step->row->d, step->d)] = true;
    read[slot_of(step->row->a, step->a)] |= step->row->a != K_none;
    read[slot_of(step->row->b, step->b)] |= step->row->b != K_none;
    read[slot_of(step->row->c, step->c)] |= step->row->c != K_none;
}

static void uses(const struct step *steps, bool *read, bool *written)
{
    memset(read, 0, SLOTS * sizeof *read);
    memset(written, 0, SLOTS * sizeof *written);
    for (unsigned i = 0; i < STEPS; i++)
        use(&steps[i], read, written);
}

/* A function of the address of the lane's registers in shared memory, behind which it leaves what it has changed. */
static void write_sequence(struct source *source, const struct step *steps, unsigned sequence)
{
    bool read[SLOTS], written[SLOTS];

    uses(steps, read, written);
    source_add(
        source,
        ".func sequence%u(.param .b64 at)\n{ .reg .pred q, p<%d>; .reg .b64 at_r; ld.param.u64 at_r, [at];\n",
        sequence, PREDICATES);
    for (unsigned i = 0; i < PREDICATES; i++)
        source_add(source, "setp.ne.u32 p%u, 0, 0;\n", i);
    for (unsigned i = 0; i < CLASSES; i++)
        source_add(source, ".reg .%s t%u, x%u_<%d>;\n", kind_type(class_kinds[i]), i, i, REGISTERS);
    for (unsigned i = 0; i < SLOTS; i++)
        if (read[i])
            source_add(source, "ld.shared.%s x%u_%u, [at_r+%u];\n", kind_type(class_kinds[i / REGISTERS]),
                       i / REGISTERS, i % REGISTERS, i * 8);
    for (unsigned i = 0; i < STEPS; i++) {
        source_add(source, "L%u:\n", i);
        write_step(source, &steps[i], i + 1);
    }
    source_add(source, "L%u:\n", STEPS);
    for (unsigned i = 0; i < SLOTS; i++)
        if (written[i])
            source_add(source, "st.shared.%s [at_r+%u], x%u_%u;\n", kind_type(class_kinds[i / REGISTERS]),
                       (SLOTS + i) * 8, i / REGISTERS, i % REGISTERS);
    source_add(source, "ret; }\n");
}

/* Copies SLOTS words between a lane's place in shared memory and global memory. */
static void write_copy(struct source *source, const char *name, const char *copy)
{
    source_add(
        source,
        ".func %s(.param .b64 near, .param .b64 far)\n{ .reg .b64 n, f, v; .reg .b32 i; .reg .pred p;\n"
        "ld.param.u64 n, [near]; ld.param.u64 f, [far]; mov.u32 i, 0;\n"
        "again:\n%s\nadd.s64 n, n, 8; add.s64 f, f, 8; add.s32 i, i, 1;\n"
        "setp.lt.u32 p, i, %d;\n@p bra again;\nret; }\n",
        name, copy, SLOTS);
}

static void write_sequences(struct source *source, struct step (*steps)[STEPS], u64 *random)
{
    source_add(source, ".shared .align 8 .b8 registers[%d];\n", 2 * SLOTS * LANES * 8);
    write_copy(source, "fetch", "ld.global.u64 v, [f]; st.shared.u64 [n], v;");
    write_copy(source, "keep", "ld.shared.u64 v, [n]; st.global.u64 [f], v;");
    for (unsigned i = 0; i < AT_A_TIME; i++) {
        for (unsigned j = 0; j < STEPS; j++)
            steps[i][j] = any_step(random, STEPS - 1 - j);
        write_sequence(source, steps[i], i);
    }
    source_add(
        source,
        ".visible .entry conform(.param .u64 in, .param .u64 out, .param .u64 x, .param .u64 y)\n"
        "{ .reg .b32 i; .reg .b64 f, o, n, m; .param .b64 one, two;\n"
        "mov.u32 i, %%tid.x; ld.param.u64 f, [in]; ld.param.u64 o, [out]; mov.u64 n, registers;\n"
        "mad.wide.u32 f, i, %d, f; mad.wide.u32 o, i, %d, o; mad.wide.u32 n, i, %d, n; add.s64 m, n, %d;\n"
        "st.param.b64 [one], n; st.param.b64 [two], f; call.uni fetch, (one, two);\n",
        SLOTS * 8, SLOTS * 8, 2 * SLOTS * 8, SLOTS * 8);
    for (unsigned i = 0; i < AT_A_TIME; i++)
        source_add(
            source,
            "st.param.b64 [one], n; call.uni sequence%u, (one);\n"
            "st.param.b64 [one], m; st.param.b64 [two], o; call.uni keep, (one, two); add.s64 o, o, %d;\n",
            i, SLOTS * LANES * 8);
    source_add(source, "ret; }\n");
}

static unsigned compare_sequence(const struct step *steps, u64 seed, const u64 *out)
{
    bool read[SLOTS], written[SLOTS];
    unsigned wrong = 0;

    uses(steps, read, written);
    for (unsigned lane = 0; lane < LANES; lane++) {
        struct state state = {.predicates = {false}};

        for (unsigned i = 0; i < SLOTS; i++)
            state.registers[i / REGISTERS][i % REGISTERS] = lane_value(i, lane, seed);
        for (unsigned i = 0; i < STEPS; i++)
            i += do_step(&steps[i], &state);
        for (unsigned i = 0; i < SLOTS; i++) {
            const struct row any = {.d = class_kinds[i / REGISTERS]};
            u64 expected = state.registers[i / REGISTERS][i % REGISTERS];

            if (written[i] && !row_accepts(&any, expected, out[lane * SLOTS + i]) && ++wrong == 1)
                fprintf(stderr, "lane %u: x%u_%u is %#lx, not %#lx\n", lane, i / REGISTERS, i % REGISTERS,
                        out[lane * SLOTS + i], expected);
        }
    }
    return wrong;
}

/* One kernel of sequences; returns how many are wrong. */
static unsigned run_sequences(u64 seed, CUdeviceptr *params, u64 *out)
{
    static struct step steps[AT_A_TIME][STEPS];
    size_t bytes = (size_t)AT_A_TIME * SLOTS * LANES * sizeof *out;
    u64 random = seed, in[SLOTS * LANES];
    struct source source;
    CUmodule loaded;
    unsigned wrong = 0;

    for (unsigned i = 0; i < SLOTS * LANES; i++)
        in[i] = lane_value(i % SLOTS, i / SLOTS, seed);
    source_begin(&source);
    write_sequences(&source, steps, &random);
    loaded = source_load(&source);
    must(cuMemcpyHtoD(params[0], in, sizeof in));
    must(cuMemsetD8(params[1], 0, bytes));
    must(kernel_run_and_wait(loaded, "conform", 1, LANES, 0, params));
    must(cuMemcpyDtoH(out, params[1], bytes));
    for (unsigned i = 0; i < AT_A_TIME; i++) {
        struct source shown = {NULL, 0, 0};

        if (!compare_sequence(steps[i], seed, out + (size_t)i * SLOTS * LANES))
            continue;
        if (++wrong <= 3) {
            for (unsigned j = 0; j < STEPS; j++)
                write_step(&shown, &steps[i][j], j + 1);
            fprintf(stderr, "sequence %u of seed %#lx:\n%s", i, seed, shown.text);
            free(shown.text);
        }
    }
    must(cuModuleUnload(loaded));
    source_end(&source);
    return wrong;
}

Test(conform, sequences_of_instructions_give_what_the_reference_says)
{
    const char *seeded = getenv("SIMGPU_TEST_SEED");
    unsigned long sequences = getenv("EBBTIDE_TEST_LONG") ? 100000 : 1000, wrong = 0;
    u64 seed = seeded ? strtoul(seeded, NULL, 0) : 1;
    size_t bytes = (size_t)AT_A_TIME * SLOTS * LANES * sizeof(u64);
    u64 *out = malloc(bytes);
    CUdeviceptr params[4] = {0};

    start();
    params[0] = device_bytes(NULL, (size_t)SLOTS * LANES * sizeof(u64));
    params[1] = device_bytes(NULL, bytes);
    for (unsigned long done = 0; done < sequences; done += AT_A_TIME)
        wrong += run_sequences(seed + done, params, out);
    free(out);
    cr_assert_eq(wrong, 0, "%lu of %lu sequences are wrong", wrong, sequences);
}
