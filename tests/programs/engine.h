/* SPDX-License-Identifier: Apache-2.0 */
/* What the program and its kernels agree on. */
#ifndef PROGRAMS_ENGINE_H
#define PROGRAMS_ENGINE_H

enum {
    COLUMNS = 1024
}; /* floats of a row */

#endif
