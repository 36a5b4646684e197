/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipc_server.h - blocks for other processes that this library is preloaded into: names that fit a CUipcMemHandle, a thread
 * that serves whoever holds one, and the other end of that.
 *
 * Shape    an abstract socket per exporting process; an importer asks for one piece of a block after the other, and has
 *          used up each before it asks for the next: neither side ever holds more than one descriptor, however many
 *          pieces there are, and nobody waits for the slowest. Each end asks the kernel who the other one is: processes of
 *          the same user, and root's, get a word from either; and of those only who knows the random number in the name, which
 *          the name of the socket, that everybody can read, does not tell.
 * Threads  any. The thread is there from the first export until ipc_stop; it calls only what it is given.
 */
#ifndef EBB_IPC_SERVER_H
#define EBB_IPC_SERVER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    IPC_NAME_BYTES = 64 /**< CU_IPC_HANDLE_SIZE */
};

/** Contents of a handle. */
struct ipc_name {
    char magic[8];
    int32_t pid;
    uint16_t granules; /**< of all pieces together; 0: as many as `bytes` need */
    uint16_t offset;   /**< of it in the pieces, in 512 bytes */
    uint64_t token;    /**< of the process */
    uint64_t address;  /**< of the block, there */
    uint64_t id;       /**< of the block: an address is used again */
    uint64_t bytes;    /**< as the program asked for it */
    uint64_t socket;   /**< number in the socket's name: no secret */
};

struct ipc_piece {
    uint64_t bytes;
    int fd;
};

/** Gives the index'th piece of a block; -ENOENT past the last, or when there is no such block any more. */
typedef int (*ipc_share_fn)(const struct ipc_name *name, unsigned index, struct ipc_piece *out);

/** Make a name for a block of this process; starts the thread. 0, -EAGAIN or -ENOMEM from the system. */
int ipc_export(uint64_t address, uint64_t id, uint64_t bytes, ipc_share_fn share, struct ipc_name *out);

/** True for a name of ours, of whatever process. */
bool ipc_is_name(const void *handle, struct ipc_name *out);

/** Uses up a piece, its descriptor included. 1: the next one is wanted; 0: that was the last; or a negative errno. */
typedef int (*ipc_take_fn)(const struct ipc_piece *piece, void *arg);

/**
 * Ask the exporter for the pieces, in order.
 *
 * Returns  0; what `take` returned; -ECONNREFUSED nobody answers, -ENOENT the block is gone or has no more pieces, -EPERM
 *          another user's, who is told nothing, -EIO
 */
int ipc_import(const struct ipc_name *name, ipc_take_fn take, void *arg);

/** True when blocks were exported and nobody ever asked for one. */
bool ipc_was_in_vain(void);

/** End the thread. A forked child has none, and only forgets. */
void ipc_stop(void);

#endif
