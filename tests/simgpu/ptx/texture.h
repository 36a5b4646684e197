/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Textures and surfaces of a running kernel. What a handle names is looked up when the launch meets it first, and then
 * remembered: the launch holds no lock where it reads. Texels are memory that the kernel uses like any other.
 */
#ifndef SIMGPU_PTX_TEXTURE_H
#define SIMGPU_PTX_TEXTURE_H

#include "ptx/device/all.h"

struct met;

/* What a launch has met; NULL at first. Freed by textures_forget. */
struct textures {
    struct met *met;
};

void textures_forget(struct textures *textures);

/* The machine's part of struct ptx_host. A handle of nothing is a launch that has failed. */
void texture_fetch(struct ptx_thread *thread, u64 handle, const struct ptx_fetch *fetch, u32 texel[4]);
u8 *texture_place(struct ptx_thread *thread, u64 handle, const struct ptx_place *place);
void texture_store(struct ptx_thread *thread, u64 handle, const struct ptx_place *place, const u32 words[4]);
u32 texture_answer(struct ptx_thread *thread, u64 handle, bool is_surface, u32 question, u32 level);

#endif
