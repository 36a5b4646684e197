/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIMGPU_SHARED: a file in which processes keep what each of them holds of each device, so that all together never
 * hold more than there is.
 *
 * A process is one of the users of the file from cuInit on, for as long as it has a lock on a byte of it. The lock
 * hangs on a mapping of the file, not on a descriptor: the kernel lets go of it when the process dies, however that
 * comes about, and when it becomes another program; a forked child does not have it, and closing all descriptors does
 * not lose it. Nobody compares process numbers, and nobody waits: see ledger.h.
 *
 * A file that is new or empty becomes one, by the first who comes, or by several at a time. All of them have to agree
 * on the capacity and the number of devices. Nobody removes it.
 *
 * Devices are named by their index. Units: bytes.
 */
#ifndef SIMGPU_SHARE_H
#define SIMGPU_SHARE_H

#include "machine/ledger.h"

#include <stddef.h>
#include <sys/types.h>

struct share_table;

struct share {
    struct share_table *table; /* NULL: not open */
    char *path;
    dev_t file_system;
    ino_t file;
    unsigned user;
};

enum {
    SHARE_WORK = 2 /* kinds of work that a device can be busy with */
};

struct share_user {
    unsigned pid;
    size_t bytes;
    uint64_t busy_ns[SHARE_WORK];
};

/*
 * Opens the file, to look at it or, with join, as a user, for good. NULL, or why it cannot be, and then nothing is
 * open; with "" it is that there is no such file, or an empty one, and only join makes it.
 */
const char *share_open(struct share *share, const char *path, bool join);

/* The end of having looked. */
void share_close(struct share *share);

/*
 * This process holds that many bytes of the device from now on. False: they are not there, and nothing has changed.
 * One thread at a time.
 */
bool share_hold(struct share *share, int device, size_t bytes);

/* This process has a context on the device, or none any more. One thread at a time. */
void share_note_context(struct share *share, int device, bool has);

/* This process has kept the device at work for so long until then, and, if since is not 0, since then too. Times of
 * CLOCK_MONOTONIC. One thread at a time. */
void share_note_busy(struct share *share, int device, int work, uint64_t since_ns, uint64_t total_ns);

/* What all users hold of the device, and the most that they ever held. */
size_t share_used(const struct share *share, int device);
size_t share_peak(const struct share *share, int device);

/* The users that have a context on the device, and how busy they have kept it until then, a time that has just been.
 * Writes the first `room`, returns how many there are. */
unsigned share_users(const struct share *share, int device, uint64_t at_ns, struct share_user *users,
                     unsigned room);

#endif
