/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/fiber.h"

#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define TELLS_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TELLS_ASAN
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TELLS_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TELLS_TSAN
#endif
#endif

#ifdef TELLS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
/* Who made the switch that ends here. */
static __thread struct fiber *came_from;
#endif
#ifdef TELLS_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* fiber_switch.S: keeps the registers that a call keeps, and goes on where the other stack left off. */
void fiber_swap(void **top, void *other);
void fiber_enter(void);

static void before(struct fiber *from, struct fiber *to, bool ends)
{
    (void)from;
    (void)to;
    (void)ends;
#ifdef TELLS_ASAN
    came_from = from;
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake, to->bottom, to->bytes);
#endif
#ifdef TELLS_TSAN
    __tsan_switch_to_fiber(to->known, 0);
#endif
}

static void after(struct fiber *self)
{
    (void)self;
#ifdef TELLS_ASAN
    const void *bottom;
    size_t bytes;

    __sanitizer_finish_switch_fiber(self->fake, &bottom, &bytes);
    memcpy(&came_from->bottom, &bottom, sizeof bottom);
    came_from->bytes = bytes;
#endif
}

void fiber_adopt(struct fiber *self)
{
    *self = (struct fiber){0};
#ifdef TELLS_TSAN
    self->known = __tsan_get_current_fiber();
#endif
}

void fiber_begin(struct fiber *self)
{
    after(self);
}

void fiber_prepare(struct fiber *fiber, void *stack, size_t bytes, size_t below, void (*entry)(void *),
                   void *argument)
{
    uintptr_t top = ((uintptr_t)stack + bytes - below) & ~(uintptr_t)15;
    void (*enter)(void) = fiber_enter;
#if defined(__x86_64__)
    /* r15, r14, r13, r12, rbx, rbp, and where to return to. */
    uintptr_t frame[8] = {0, 0, 0, (uintptr_t)argument, 0, 0, 0, 0};

    memcpy(&frame[2], &entry, sizeof entry);
    memcpy(&frame[6], &enter, sizeof enter);
    top -= sizeof frame;
#else
    /* x19 to x30, d8 to d15. */
    uintptr_t frame[20] = {(uintptr_t)argument};

    memcpy(&frame[1], &entry, sizeof entry);
    memcpy(&frame[11], &enter, sizeof enter);
    top -= sizeof frame;
#endif
#ifdef TELLS_ASAN
    /* Whoever had the stack before may have ended in the middle of it. */
    __asan_unpoison_memory_region(stack, bytes);
#endif
    memcpy((void *)top, frame, sizeof frame);
    fiber->top = (void *)top;
    fiber->bottom = stack;
    fiber->bytes = bytes;
    fiber->fake = NULL;
#ifdef TELLS_TSAN
    if (!fiber->known)
        fiber->known = __tsan_create_fiber(0);
#endif
}

void fiber_switch(struct fiber *from, struct fiber *to, bool ends)
{
    before(from, to, ends);
    fiber_swap(&from->top, to->top);
    after(from);
}

void fiber_forget(struct fiber *fiber)
{
    (void)fiber;
#ifdef TELLS_TSAN
    if (fiber->known)
        __tsan_destroy_fiber(fiber->known);
#endif
}
