/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device addresses: one window of the process's address space, reserved without access at cuInit. Everything
 * that a device address can be lies in it, mapped or not, so that a fault there is known to be the device's.
 * Areas of it are handed out upwards and reused only after the end is reached: an address that was freed
 * stays dead for long.
 */
#ifndef SIMGPU_SPACE_H
#define SIMGPU_SPACE_H

#include "driver/sim.h"

/* Reserves the window. CUDA_ERROR_OUT_OF_MEMORY where even a small one is refused. */
CUresult space_start(void);

/* Whether the address lies in the window. No lock; usable in a signal handler. */
bool space_contains(uintptr_t address);

/*
 * An area of size bytes at a multiple of alignment (a power of two, or 0), at hint where that is free and
 * aligned. The program's areas are the reservations that it may map into.
 */
CUresult space_take(size_t size, size_t alignment, uintptr_t hint, bool program, uintptr_t *start);

/* The program's area that contains the address. False if there is none. */
bool space_reservation(uintptr_t address, uintptr_t *start, size_t *size);

/* How many areas are the program's. */
size_t space_reservations(void);

/* Hands an area back. Nothing is mapped there. */
void space_give(uintptr_t start);

/* Maps a physical extent without access. CUDA_ERROR_OUT_OF_MEMORY past the kernel's limit of mappings. */
CUresult space_map(uintptr_t start, size_t size, uint64_t place);

/* Changes the access of mapped bytes: PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE. */
CUresult space_protect(uintptr_t start, size_t size, int prot);

/* Takes the mapping away; the addresses stay reserved. Never fails. */
void space_unmap(uintptr_t start, size_t size);

#endif
