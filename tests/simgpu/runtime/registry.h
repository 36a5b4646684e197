/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device code that a program registers at its start: fat binaries, and which function or variable of the host stands for
 * which kernel or variable in them. A binary is loaded when something in it is first used, in whichever context; a reset of
 * the device and the end of the process unload all. Any thread.
 */
#ifndef CUDART_REGISTRY_H
#define CUDART_REGISTRY_H

#include "runtime/runtime.h"

struct binary;
struct variable;
struct kernel;

/* A new binary whose image is that wrapper, which stays the program's; NULL when memory is out. */
struct binary *registry_add(const void *image);

/* Forgets a binary and all that was registered with it; unloads it if the driver still lives. */
void registry_remove(struct binary *binary);

/* Names are the program's. A managed variable's symbol is the pointer through which the host uses it. */
void registry_add_kernel(struct binary *binary, const void *function, const char *name);
void registry_add_variable(struct binary *binary, const void *symbol, const char *name, size_t bytes,
                           bool managed);

/* What stands for a kernel registered with that function, before anything is loaded; NULL if none is. */
struct kernel *registry_find(const void *function);

/*
 * The driver's kernel of a registered function, or of what registry_find gave for it; anything else is taken to be a
 * kernel of the driver already. A context must be current. What loading the binary says (cudaErrorNoKernelImageForDevice),
 * or cudaErrorInvalidDeviceFunction if the kernel is not in it, as a CUresult.
 */
CUresult registry_kernel(const void *function, CUfunction *kernel);

/* runtime_enter, and the kernel. */
CUresult registry_enter(const void *function, CUfunction *kernel);

/* Where a registered variable is in the current context. cudaErrorInvalidSymbol, or what loading says, as a CUresult. */
CUresult registry_variable(const void *symbol, CUdeviceptr *address, size_t *bytes);

/* Loads the binary and lets its managed variables be used by the host. */
CUresult registry_open(struct binary *binary);

/* Unloads all binaries; those that are used again are loaded again. */
void registry_unload(void);

#endif
