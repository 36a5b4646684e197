/* SPDX-License-Identifier: Apache-2.0 */
/*
 * who.h - what a process is called.
 */
#ifndef EBB_LIVE_WHO_H
#define EBB_LIVE_WHO_H

#include "live/figures.h"
#include "live/page.h"

/** This process. Reads a file; what does not fit of its command is left out. */
void live_who(struct live_who *out);

/** Which start of the machine this is, in the words of the kernel. */
void live_boot(char boot[LIVE_BOOT_BYTES]);

#endif
