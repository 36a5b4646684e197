/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork.h - what the rooms do around fork, in one order.
 *
 * A room says FORK_HANDLERS once, in one of its files: that is all, whatever has been started. Handlers run from
 * fork_watch on, cannot be cancelled, and leave errno alone. Those of a child may call what is async-signal-safe only.
 */
#ifndef EBB_FORK_H
#define EBB_FORK_H

#include <stdbool.h>

/** In this order before a fork, which is that of their locks; in the reverse one after it, in parent and child. */
enum fork_turn {
    FORK_ENGINE,
    FORK_CUDA,
    FORK_HOOK,
    FORK_HOST,
    FORK_HEAP,
    FORK_TURNS
};

/** NULL: nothing is done. */
struct fork_handlers {
    enum fork_turn turn;
    void (*prepare)(void);
    void (*parent)(void);
    void (*child)(void);
};

/** The linker puts the handlers of all rooms side by side. */
#define FORK_HANDLERS(...)                                                                                   \
    static const struct fork_handlers fork_handlers                                                          \
        __attribute__((section("ebb_fork"), used, aligned(sizeof(void *)))) = {__VA_ARGS__}

/** Have the handlers run around fork. Once: right behind those of our malloc, so that handlers of everybody else, which
 *  run before ours in the parent and after them in both, may allocate and use registered memory. False: there was no room
 *  for them. Any time. */
bool fork_watch(void);

#endif
