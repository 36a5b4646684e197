/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of echo_driver.c answer: ECHO_CODE for cuInit, the first row of the table, and so on. */
#ifndef ECHO_DRIVER_H
#define ECHO_DRIVER_H

#define ECHO_CODE 100000

#endif
