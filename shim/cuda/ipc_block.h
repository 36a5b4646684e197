/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipc_block.h - blocks that are handed to other processes, and those of other processes that are mapped here.
 *
 * The driver's own IPC does not serve virtual memory, so a block is handed over piece by piece as descriptors, between
 * processes that both have this library. The block stays on the device from then on.
 *
 * Threads  any.
 */
#ifndef EBB_IPC_BLOCK_H
#define EBB_IPC_BLOCK_H

#include "cuda/ipc_server.h"
#include "cuda/real.h"
#include "engine/core.h"

/** Pin a block and make a handle for it, which ipc_is_name knows. */
CUresult ipc_block_export(const struct block_info *block, CUipcMemHandle *out);

/** Map the block of another process for the current device; once more at the same address when it was opened before. */
CUresult ipc_block_open(const struct ipc_name *name, CUdeviceptr *out);

/** Close what was opened here, or by the real function what the driver itself has opened. */
CUresult ipc_block_close(__typeof__(cuIpcCloseMemHandle) *next, CUdeviceptr address);

#endif
