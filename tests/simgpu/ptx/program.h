/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text of PTX, from when it is loaded until nobody needs it: its entries and variables, and its entries' code, each made
 * when it is first asked for. On any thread, without the lock.
 */
#ifndef SIMGPU_PTX_PROGRAM_H
#define SIMGPU_PTX_PROGRAM_H

#include "driver/entry.h"
#include "ptx/device/thread.h"
#include "ptx/module.h"
#include "ptx/translate.h"

struct program;

/* Reads it. CUDA_ERROR_INVALID_PTX, with one line that says where and why; OUT_OF_MEMORY. */
CUresult program_create(const char *text, struct program **program);
void program_destroy(struct program *program);

/* The module, which does not change. */
const struct ptx_module *program_module(const struct program *program);

/* Its entries, in the order of the text, and what is known of each. */
unsigned program_entries(const struct program *program);
const struct ptx_function *program_entry(const struct program *program, unsigned number);
const struct ptx_facts *program_facts(const struct program *program, unsigned number);

/* Translates and compiles an entry, the first time; says again what became of it from then on. As ptx_build. */
CUresult program_code(struct program *program, unsigned number, const struct ptx_code **code);

/*
 * The first bytes of a variable, of its whole size, into memory: addresses has those of all variables by their id.
 * Variables without a value are zero.
 */
void program_initial(const struct program *program, const struct ptx_symbol *variable, u8 *const *addresses,
                     u8 *memory);

#endif
