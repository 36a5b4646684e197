/* SPDX-License-Identifier: Apache-2.0 */
/* Modules of PTX that a test writes and runs by way of the driver. */
#ifndef SIMGPU_PTX_TESTS_CONFORM_H
#define SIMGPU_PTX_TESTS_CONFORM_H

#include <cuda.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* A text that grows. */
struct source {
    char *text;
    size_t bytes, room;
};

/* Begins a module, and lets it go. */
void source_begin(struct source *source);
void source_end(struct source *source);

void source_add(struct source *source, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An instruction with its registers: $a and so on stand for what names say of that letter, 0 ends them. Without a $ the
 * first count letters of dabc are its operands. */
void source_instruction(struct source *source, const char *text, unsigned count,
                        const char *const names[128]);

/* Loads it, or prints it and ends the test. */
CUmodule source_load(const struct source *source);

/* Memory of the device, with those bytes or zero. */
CUdeviceptr device_bytes(const void *bytes, size_t size);

/* Starts the named kernel with pointers as parameters, up to four, and waits. Returns what the wait says. */
CUresult kernel_run_and_wait(CUmodule module, const char *name, unsigned blocks, unsigned threads,
                             unsigned shared, const CUdeviceptr *params);

#endif
