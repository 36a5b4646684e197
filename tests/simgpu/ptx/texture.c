/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/texture.h"

#include "ptx/run.h"
#include "ptx/sample.h"
#include "stream/fault.h"
#include "stream/touch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MET_MAX = 16, /* that are remembered at a time */
    PIECE = 512
};

struct met {
    u64 handle; /* 0: none */
    u64 piece;  /* that was touched last; what it looks at need not be said again */
    struct texture texture;
};

void textures_forget(struct textures *textures)
{
    free(textures->met);
    textures->met = NULL;
}

static void __attribute__((noreturn)) fail(const struct ptx_thread *self, const char *what, u64 number)
{
    fprintf(stderr, "simgpu: %s (%#llx) in block (%u, %u, %u)\n", what, (unsigned long long)number,
            self->ctaid[0], self->ctaid[1], self->ctaid[2]);
    fault_stop(CUDA_ERROR_LAUNCH_FAILED);
}

static struct met *meet(struct ptx_thread *self, u64 handle, bool is_surface)
{
    struct textures *textures = run_textures(self);
    struct met *met;

    if (!textures->met)
        textures->met = calloc(MET_MAX, sizeof *textures->met);
    if (!textures->met)
        fault_stop(CUDA_ERROR_OUT_OF_MEMORY);
    met = &textures->met[(handle >> 4) * 0x9e3779b97f4a7c15u >> 60];
    if (met->handle == handle && handle && met->texture.is_surface == is_surface)
        return met;
    met->handle = 0;
    met->piece = 0;
    if (!texture_find(handle, is_surface, &met->texture))
        fail(self, is_surface ? "no surface" : "no texture", handle);
    met->handle = handle;
    return met;
}

/* A texel may lie in two pieces where rows have any pitch. */
static const u8 *reach(void *who, uintptr_t address, size_t bytes)
{
    struct met *met = who;
    uintptr_t last = address + bytes - 1;

    if ((address | (PIECE - 1)) != met->piece) {
        touch_access(address, 1);
        met->piece = address | (PIECE - 1);
    }
    if ((last | (PIECE - 1)) != met->piece) {
        touch_access(last, 1);
        met->piece = last | (PIECE - 1);
    }
    return (const u8 *)address;
}

void texture_fetch(struct ptx_thread *self, u64 handle, const struct ptx_fetch *fetch, u32 texel[4])
{
    struct met *met = meet(self, handle, false);

    sample_fetch(&met->texture, fetch, reach, met, texel);
}

u8 *texture_place(struct ptx_thread *self, u64 handle, const struct ptx_place *place)
{
    struct met *met = meet(self, handle, true);
    uintptr_t address = sample_place(&met->texture, place);
    size_t bytes = place->bytes ? place->bytes : met->texture.bytes;

    if (!address && place->outside == PTX_OUTSIDE_TRAP)
        fail(self, "outside of surface", handle);
    if (!address)
        return NULL;
    /* Within the row: how rows lie is nobody's affair. */
    if (!place->is_counted && (u32)place->at[0] & (bytes - 1))
        self->host->misaligned(self, address);
    return (u8 *)reach(met, address, bytes);
}

void texture_store(struct ptx_thread *self, u64 handle, const struct ptx_place *place, const u32 words[4])
{
    u8 *to = texture_place(self, handle, place), texel[16];
    const struct texture *surface = &meet(self, handle, true)->texture;

    if (!to)
        return;
    sample_pack(surface, words, texel);
    memcpy(to, texel, surface->bytes);
}

u32 texture_answer(struct ptx_thread *self, u64 handle, bool is_surface, u32 question, u32 level)
{
    return sample_answer(&meet(self, handle, is_surface)->texture, question, level);
}
