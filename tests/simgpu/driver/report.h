/* SPDX-License-Identifier: Apache-2.0 */
/* SIMGPU_REPORT: what happened, as JSON, when the process ends. */
#ifndef SIMGPU_REPORT_H
#define SIMGPU_REPORT_H

/* Counts a context that an illegal access has broken. */
void report_sticky(void);

/* Writes the report, if one is asked for and the driver was initialised. Once. */
void report_write(void);

#endif
