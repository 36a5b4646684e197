/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One launch of generated code, on the calling thread: its blocks one after the other, or all by turns where the launch is
 * cooperative, whose blocks may wait for each other.
 */
#ifndef SIMGPU_PTX_RUN_H
#define SIMGPU_PTX_RUN_H

#include "ptx/device/thread.h"
#define SIMGPU_DRIVER
#include "simgpu.h"

/*
 * Runs it behind the guard of fault_guard, without the lock. globals are the addresses of the module's variables. An
 * error leaves by the guard, after what the launch held is given back: illegal and misaligned addresses, CUDA_ERROR_ASSERT,
 * CUDA_ERROR_LAUNCH_FAILED for a trap and for threads that wait for each other, CUDA_ERROR_OUT_OF_MEMORY.
 */
void ptx_run(const struct ptx_code *code, const struct simgpu_launch *launch, bool is_cooperative,
             const u8 *params, u8 *const *globals);

/* Whether the running kernel's address is in its shared memory, on a stack of its threads, or where its blocks wait. */
bool ptx_is_private(const struct ptx_thread *thread, u64 address, u32 bytes);

/* What textures the running launch has met. */
struct textures *run_textures(const struct ptx_thread *thread);

#endif
