/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy_operands.h - which memory a copy names.
 *
 * Each notes its operands in `use`; sources in host memory are looked into for addresses. NULL operands are
 * the driver's to refuse. Threads: any. Outside of a user section.
 */
#ifndef EBB_COPY_OPERANDS_H
#define EBB_COPY_OPERANDS_H

#include "engine/core.h"
#include "hook/hooks.h"

/** A copy between two addresses, either of which may be on the host or on a device. */
void copy_operands_either(struct use *use, CUdeviceptr to, CUdeviceptr from, size_t bytes);
void copy_operands_batch(struct use *use, const CUdeviceptr *to, const CUdeviceptr *from, const size_t *bytes,
                         size_t count);
void copy_operands_devices(struct use *use, const CUdeviceptr *address, size_t count);
void copy_operands_plane(struct use *use, const CUDA_MEMCPY2D *copy);
void copy_operands_volume(struct use *use, const CUDA_MEMCPY3D *copy);
void copy_operands_volume_peer(struct use *use, const CUDA_MEMCPY3D_PEER *copy);
void copy_operands_volumes(struct use *use, const CUDA_MEMCPY3D_BATCH_OP *list, size_t count);
void copy_operands_memory_operations(struct use *use, const CUstreamBatchMemOpParams *list, unsigned count);
void copy_operands_inflate(struct use *use, const CUmemDecompressParams *list, size_t count);

#endif
