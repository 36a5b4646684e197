/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/program.h"

#include "ptx/build.h"
#include "ptx/names.h"
#include "ptx/parse.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An entry, and its code. */
struct kernel_code {
    const struct ptx_function *function;
    struct ptx_facts facts;
    bool asked; /* result says what became of it */
    CUresult result;
    void *opened;
    const struct ptx_code *code;
};

struct program {
    pthread_mutex_t lock; /* while anything of it is translated or compiled */
    char *text;
    struct ptx_module module;
    struct arena scratch; /* while an entry is translated */
    struct ptx_exit exit; /* of both arenas */
    struct kernel_code *entries;
    unsigned count;
};

static void complain(const struct program *program, const char *entry)
{
    fprintf(stderr, "simgpu: PTX%s%s: %s\n", entry ? " of " : "", entry ? entry : "", program->exit.why);
}

/* What names another module's variable has nobody to ask. */
static void check_variables(struct program *program)
{
    for (const struct ptx_symbol *variable = program->module.variables; variable; variable = variable->next) {
        if (variable->is_extern && variable->space != SPACE_SHARED)
            ptx_fail(&program->exit, variable->line, "%s is declared and not defined", variable->name);
        for (const struct ptx_initial *initial = variable->initial; initial; initial = initial->next)
            if (initial->symbol && !scope_own(program->module.scope, initial->symbol))
                ptx_fail(&program->exit, variable->line, "there is no %s", initial->symbol);
    }
}

/* Translates each entry once, to see whether it can be, and what it needs. */
static void survey(struct program *program)
{
    for (unsigned i = 0; i < program->count; i++) {
        ptx_translate(&program->module, program->entries[i].function, &program->scratch,
                      &program->entries[i].facts);
        arena_finish(&program->scratch);
    }
}

static void find_entries(struct program *program)
{
    unsigned count = 0;

    for (const struct ptx_function *function = program->module.functions; function; function = function->next)
        count += function->is_entry && function->text;
    program->entries = arena_take(&program->module.arena, (count + 1) * sizeof *program->entries);
    for (const struct ptx_function *function = program->module.functions; function; function = function->next)
        if (function->is_entry && function->text)
            program->entries[program->count++].function = function;
}

/* False: it is no text of PTX that is understood, and the exit says why. */
static bool read(struct program *program)
{
    if (setjmp(program->exit.leave))
        return false;
    ptx_parse(&program->module, program->text, strlen(program->text));
    check_variables(program);
    find_entries(program);
    survey(program);
    return true;
}

CUresult program_create(const char *text, struct program **created)
{
    struct program *program = calloc(1, sizeof *program);

    if (!program)
        return CUDA_ERROR_OUT_OF_MEMORY;
    pthread_mutex_init(&program->lock, NULL);
    program->module.arena.exit = program->scratch.exit = &program->exit;
    program->text = strdup(text);
    if (!program->text) {
        program_destroy(program);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (!read(program)) {
        complain(program, NULL);
        program_destroy(program);
        return CUDA_ERROR_INVALID_PTX;
    }
    *created = program;
    return CUDA_SUCCESS;
}

void program_destroy(struct program *program)
{
    for (unsigned i = 0; i < program->count; i++)
        if (program->entries[i].opened)
            dlclose(program->entries[i].opened);
    pthread_mutex_destroy(&program->lock);
    arena_finish(&program->scratch);
    arena_finish(&program->module.arena);
    free(program->text);
    free(program);
}

const struct ptx_module *program_module(const struct program *program)
{
    return &program->module;
}

unsigned program_entries(const struct program *program)
{
    return program->count;
}

const struct ptx_function *program_entry(const struct program *program, unsigned number)
{
    return program->entries[number].function;
}

const struct ptx_facts *program_facts(const struct program *program, unsigned number)
{
    return &program->entries[number].facts;
}

/* The lock is held. */
static CUresult make_code(struct program *program, struct kernel_code *entry)
{
    const char *text;

    if (setjmp(program->exit.leave)) {
        complain(program, entry->function->name);
        return CUDA_ERROR_INVALID_PTX;
    }
    text = ptx_translate(&program->module, entry->function, &program->scratch, NULL);
    return ptx_build(text, &entry->opened, &entry->code);
}

CUresult program_code(struct program *program, unsigned number, const struct ptx_code **code)
{
    struct kernel_code *entry = &program->entries[number];
    CUresult result;

    pthread_mutex_lock(&program->lock);
    if (!entry->asked) {
        entry->result = make_code(program, entry);
        entry->asked = true;
        arena_finish(&program->scratch);
    }
    result = entry->result;
    *code = entry->code;
    pthread_mutex_unlock(&program->lock);
    return result;
}

/* The address that a symbol of an initialiser stands for. */
static uint64_t symbol_address(const struct program *program, const char *name, u8 *const *addresses)
{
    const struct ptx_symbol *symbol = scope_own(program->module.scope, name);

    if (symbol->kind == SYMBOL_FUNCTION)
        return ptx_function_address(symbol->function);
    return (uint64_t)(uintptr_t)addresses[symbol->id];
}

void program_initial(const struct program *program, const struct ptx_symbol *variable, u8 *const *addresses,
                     u8 *memory)
{
    memset(memory, 0, variable->bytes);
    for (const struct ptx_initial *initial = variable->initial; initial; initial = initial->next) {
        uint64_t value = initial->value;

        if (initial->symbol)
            value = (value + symbol_address(program, initial->symbol, addresses)) >> initial->shift;
        /* The host's lowest byte is the first, as the device's is. */
        memcpy(memory + initial->offset, &value, initial->bytes < 8 ? initial->bytes : 8);
    }
}
