/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module's variables as memory of its device. Those of a shared object lie in it; those of PTX are taken from the
 * device's memory, count there, and start with their values.
 */
#ifndef SIMGPU_VARIABLE_H
#define SIMGPU_VARIABLE_H

#include "code/module.h"

/* Adds all of them. CUDA_ERROR_OUT_OF_MEMORY: what was added is for variables_forget. */
CUresult variables_add(struct module *module);
void variables_forget(struct module *module);

#endif
