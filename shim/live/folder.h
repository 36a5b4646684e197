/* SPDX-License-Identifier: Apache-2.0 */
/*
 * folder.h - the folder in which the live pages of this user's processes lie.
 *
 * Which    that of EBBTIDE_LIVE_DIR, else the first that can be used of /run/ebbtide (root's), $XDG_RUNTIME_DIR/ebbtide and
 *          /dev/shm/ebbtide-UID. The last two are made for the user alone.
 * Kept     pages of dead processes for a day, and no more than LIVE_PAGES pages in all, those of processes that live
 *          beside.
 * Threads  any. Nothing allocates or locks.
 */
#ifndef EBB_LIVE_FOLDER_H
#define EBB_LIVE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

enum {
    LIVE_PAGES = 256,
    LIVE_FOLDERS = 3, /**< there are so many places at most */
    LIVE_PATH_BYTES = 1024
};

/** The index'th place for pages, "" where this user has none such; false: there are no more. @asked  of EBBTIDE_LIVE_DIR, ""
 *  for none */
bool live_folder_path(unsigned index, const char *asked, char path[LIVE_PATH_BYTES]);

/** A descriptor of the folder at that place, or negative errno: -ESTALE, it is somebody else's. @make  it, if it is not
 *  there */
int live_folder_open(unsigned index, const char *asked, bool make);

/** The first of them that a page can be made in. Negative errno, of the last one. */
int live_folder_for_page(const char *asked, char path[LIVE_PATH_BYTES]);

/** Show each page's name, in no order, until `visit` returns false. */
void live_folder_each(int folder, bool (*visit)(int folder, const char *name, void *arg), void *arg);

/** Does the process still live whose page this is? @file  a descriptor of it */
bool live_page_is_held(int file);

/** Remove pages of dead processes that are too old, or the oldest where there are too many. */
void live_folder_tidy(int folder);

#endif
