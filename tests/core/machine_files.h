/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_files.h - a /proc and a /sys of the test's own, for machine.h to look at.
 *
 * One per process; files are made in a folder under /tmp that machine_files_finish removes.
 */
#ifndef EBBTIDE_TESTS_MACHINE_FILES_H
#define EBBTIDE_TESTS_MACHINE_FILES_H

/* Make the folder. Returns its path. */
const char *machine_files_init(void);

/* Write a file below it, `path` as on a machine ("/proc/pressure/memory"); the folders on the way are made. */
void machine_files_write(const char *path, const char *text);

void machine_files_finish(void);

#endif
