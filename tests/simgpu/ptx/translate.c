/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/translate.h"

#include "ptx/device/thread.h"
#include "ptx/emit.h"

#include <string.h>

enum {
    FUNCTION_SHIFT = 4,
    DYNAMIC_ALIGN = 16,
    REGISTERS_MIN = 16,
    REGISTERS_MAX = 255,
    SHARED_MAX = 1 << 24,
    COPIED_BYTES = 512,
    COPIED_SITES = 64,
    SHORT = 32 /* instructions of which the compiler may put the same four times */
};
#define FUNCTION_BASE 0x7ff0c0de00000000u

static bool is_short(const struct ptx_body *body)
{
    unsigned count = 0;

    for (const struct ptx_instruction *next = body->code; next && count <= SHORT; next = next->next)
        count++;
    return count <= SHORT;
}

/*
 * All threads of a block, one after the other. What they only read (their place, their parameters) and their sites are
 * copies whose address nobody gets, so that the compiler can keep them in registers from thread to thread.
 */
static void put_loop(const struct emitter *emitter, struct text *out, const struct ptx_function *entry)
{
    bool has_callees = emitter->needed && emitter->needed->next;
    size_t bytes = entry->parameter_bytes;
    bool copies = bytes <= COPIED_BYTES, has_sites = emitter->sites <= COPIED_SITES && !has_callees;

    text_put(out, "static void run(struct ptx_thread *t, const u8 *given)\n{\n"
                  "    struct ptx_thread own = *t;\n");
    if (copies)
        text_put(out, "    u64 params[%zu];\n", bytes / 8 + 1);
    if (has_sites)
        text_put(out, "    u64 sites[%u] = {0};\n", emitter->sites + 1);
    text_put(out, "    u32 number = 0;\n\n");
    if (copies)
        text_put(out, "    __builtin_memcpy(params, given, %zu);\n", bytes);
    text_put(out, "    for (u32 z = 0; z < own.ntid[2]; z++)\n"
                  "        for (u32 y = 0; y < own.ntid[1]; y++) {\n"
                  "            own.tid[1] = y, own.tid[2] = z;\n");
    if (!has_callees && is_short(emitter->body))
        text_put(out, "#pragma GCC unroll 4\n");
    text_put(out, "            for (u32 x = 0; x < own.ntid[0]; x++, number++) {\n"
                  "                own.tid[0] = x;\n"
                  "                own.lane = number %% 32, own.warp = number / 32;\n");
    if (has_callees)
        text_put(out, "                ptx_here(t, &own), t->lane = own.lane, t->warp = own.warp;\n");
    text_put(out,
             "                function%u(t, &own, %s, %s);\n"
             "            }\n"
             "        }\n"
             "}\n\n",
             entry->symbol->id, copies ? "(const u8 *)params" : "given", has_sites ? "sites" : "t->sites");
}

/* One thread where each has a fiber. */
static void put_thread(struct text *out, const struct ptx_function *entry)
{
    text_put(out,
             "static void run(struct ptx_thread *t, const u8 *params)\n"
             "{\n"
             "    function%u(t, t, params, t->sites);\n"
             "}\n\n",
             entry->symbol->id);
}

uint64_t ptx_function_address(const struct ptx_function *function)
{
    return FUNCTION_BASE + ((uint64_t)function->symbol->id << FUNCTION_SHIFT);
}

static size_t aligned(size_t offset, size_t align)
{
    return (offset + align - 1) / align * align;
}

static bool is_dynamic(const struct ptx_symbol *variable)
{
    return !variable->bytes;
}

/* Gives every shared variable its offset, and returns where the part begins that a launch asks for. */
static size_t lay_out_shared(const struct emitter *emitter, struct text *out)
{
    size_t end = 0, align = DYNAMIC_ALIGN;

    for (const struct ptx_shared *shared = emitter->shared; shared; shared = shared->next) {
        const struct ptx_symbol *variable = shared->variable;
        size_t own = variable->align ? variable->align : 1;

        if (is_dynamic(variable)) {
            align = own > align ? own : align;
            continue;
        }
        end = aligned(end, own);
        text_put(out, "#define %s %zuu\n", shared->name, end);
        end += variable->bytes;
        if (end > SHARED_MAX)
            ptx_fail(emitter->arena->exit, variable->line, "%s is too large", variable->name);
    }
    for (const struct ptx_shared *shared = emitter->shared; shared; shared = shared->next)
        if (is_dynamic(shared->variable))
            text_put(out, "#define %s %zuu\n", shared->name, aligned(end, align));
    return aligned(end, align);
}

/* The hardware's are of 32 bits. */
static unsigned count_registers(const struct ptx_body *body)
{
    unsigned count = 0;

    for (const struct ptx_symbol *symbol = body->registers; symbol; symbol = symbol->next)
        count += symbol->type->bits == 1 ? 0 : (symbol->type->bits + 31) / 32;
    /* Most live for a part of the function only. */
    return count / 4;
}

static void note_facts(struct ptx_facts *facts, const struct ptx_body *body)
{
    unsigned registers = count_registers(body);

    for (const struct ptx_symbol *variable = body->variables; variable; variable = variable->next)
        facts->local_bytes += variable->space == SPACE_LOCAL ? variable->bytes : 0;
    facts->local_bytes += emit_takes_stack(body) ? PTX_STACK_BYTES : 0;
    registers = registers < REGISTERS_MIN ? REGISTERS_MIN : registers;
    registers = registers > REGISTERS_MAX ? REGISTERS_MAX : registers;
    if (registers > facts->registers)
        facts->registers = registers;
}

/* Code of every function that can be reached. */
static void emit_all(struct emitter *emitter, const struct ptx_function *entry, struct ptx_facts *facts)
{
    emit_need_function(emitter, entry);
    for (const struct ptx_needed *needed = emitter->needed; needed; needed = needed->next) {
        emit_function(emitter, needed->function);
        note_facts(facts, emitter->body);
    }
    for (const struct ptx_symbol *variable = emitter->module->variables; variable; variable = variable->next)
        facts->constant_bytes += variable->space == SPACE_CONSTANT ? variable->bytes : 0;
}

const char *ptx_translate(struct ptx_module *module, const struct ptx_function *entry, struct arena *arena,
                          struct ptx_facts *facts)
{
    struct emitter emitter = {.module = module, .arena = arena, .out = {.arena = arena}};
    struct text out = {.arena = arena};
    struct ptx_facts own = {0};

    emit_all(&emitter, entry, &own);
    own.shared_bytes = lay_out_shared(&emitter, &out);
    for (const struct ptx_needed *needed = emitter.needed; needed; needed = needed->next) {
        emit_head(&emitter, &out, needed->function);
        text_put(&out, ";\n");
    }
    text_add(&out, emitter.out.bytes, emitter.out.length);
    if (emitter.needs_fibers)
        put_thread(&out, entry);
    else
        put_loop(&emitter, &out, entry);
    text_put(
        &out,
        "__attribute__((visibility(\"default\"))) const struct ptx_code ptx_code = {.version = PTX_VERSION, "
        ".flags = %s, .shared_static = %zu, .site_count = %u, .local_bytes = %zu, .name = \"%s\", .%s = "
        "run};\n",
        emitter.needs_fibers ? "PTX_FIBERS" : "0", own.shared_bytes, emitter.sites, own.local_bytes,
        entry->name, emitter.needs_fibers ? "thread" : "block");
    if (facts)
        *facts = own;
    return out.bytes;
}
