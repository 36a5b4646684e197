/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be seen of a device at a moment: of all who share it (SIMGPU_SHARED), else of this process, from the simulated
 * driver if that is loaded. Nothing is kept from one look to the next, so a forked child can take one.
 */
#ifndef SIMGPU_NVML_LOOK_H
#define SIMGPU_NVML_LOOK_H

#include "machine/share.h"
#include "nvml/nvml.h"

struct look {
    uint64_t at_ns; /* CLOCK_MONOTONIC */
    unsigned long long used;
    unsigned count; /* the processes that have a context there */
    struct share_user users[LEDGER_ACCOUNTS];
};

/* NVML_SUCCESS, or what to answer: the handle is none, or the file cannot be read, which a line says. */
__attribute__((visibility("hidden"))) nvmlReturn_t nvml_look(nvmlDevice_t device, struct look *look);

#endif
