/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - the live page of a process: its figures, in a file that is there after it, however it ended.
 *
 * Shape    a head that never changes, and each part of the figures twice. An update goes to the older copy, and gives it a
 *          number and a checksum: a copy that was cut short does not have its checksum, and then the other one holds.
 * Layout   LIVE_VERSION: any change of it, or of figures.h, is a new one. Of the devices the file has as many as its head
 *          says. Numbers are those of the machine: a page is read where it was written.
 * Name     PID-TIME.page, TIME in seconds since 1970, so that no process finds another's.
 * Life     the process has a lock on the file for as long as it lives: an open file description's, which hangs on its
 *          mapping. It ends with the process, and with its becoming another program; a forked child does not have it.
 */
#ifndef EBB_LIVE_PAGE_H
#define EBB_LIVE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "live/figures.h"

#define LIVE_MAGIC  UINT64_C(0x6567617062626520) /* " ebbpage" as bytes of a little-endian machine */
#define LIVE_SUFFIX ".page"

enum {
    LIVE_VERSION = 1,
    LIVE_BOOT_BYTES = 40,
    LIVE_NAME_BYTES = 64
};

struct live_head {
    uint64_t magic;
    uint32_t version;
    uint32_t devices;           /**< 1 to LIVE_DEVICES */
    uint64_t started_s;         /**< since 1970 */
    char boot[LIVE_BOOT_BYTES]; /**< of the machine: a page of another one is of a dead process */
    struct live_who who;
    uint64_t sum;
};

struct live_seal {
    uint64_t number; /**< of the update; 0: there was none */
    uint64_t sum;    /**< of number and figures */
};

struct live_now_copy {
    struct live_seal seal;
    struct live_now now; /**< as long as its devices are */
};

struct live_look_copy {
    struct live_seal seal;
    struct live_look look;
};

struct live_page {
    struct live_head head;
    struct live_now_copy now[2];
    struct live_look_copy look[LIVE_DEVICES][2];
};

/** Bytes of a file with so many devices, and of live_now. */
size_t live_page_bytes(uint32_t devices);
size_t live_now_bytes(uint32_t devices);

/* ---- to write: the caller stores what it has sealed ---------------------------------------------------------------- */

void live_seal_head(struct live_head *head);
void live_seal_now(struct live_now_copy *copy, uint64_t number);
void live_seal_look(struct live_look_copy *copy, uint64_t number);

/* ---- to read ------------------------------------------------------------------------------------------------------- */

struct live_view {
    struct live_head head;
    struct live_now now;
    struct live_look look[LIVE_DEVICES]; /**< zeros where there was none */
    bool is_cut; /**< an update was begun and not ended: these are the figures before it */
};

/**
 * The figures in what was read of a file: any bytes.
 *
 * Returns  0; -EINVAL no page; -EPROTONOSUPPORT one of another version; -ENODATA one that has no whole copy, or is
 *          shorter than it should be
 */
int live_view(const void *bytes, size_t length, struct live_view *out);

#endif
