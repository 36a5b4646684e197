/* SPDX-License-Identifier: Apache-2.0 */
/* versions.h - which CUDA this library is made for: what `ebbtide --version` and `ebbtide doctor` say. */
#ifndef EBB_VERSIONS_H
#define EBB_VERSIONS_H

/* As cuDriverGetVersion has them. Older drivers lack entries that moving needs; newer ones may have forms of entries
 * that no hook stands in front of, which the self-test notices (self_test.h). */
#define DRIVER_OLDEST 11080
#define DRIVER_NEWEST 13000

#define VERSIONS_TEXT                                                                                        \
    "CUDA drivers 11.8 to 13.0; runtimes 11, 12 and 13, static or as libcudart.so.11.0, libcudart.so.12, "   \
    "libcudart.so.13"

#endif
