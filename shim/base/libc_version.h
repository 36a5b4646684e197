/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libc_version.h - the version of symbols that every glibc has for the machine: its ABI lists.
 *
 * dlvsym with it finds libc's own, past whoever stands in front. One that is not there would cost an allocation, for the
 * word that dlerror is to have.
 */
#ifndef EBB_LIBC_VERSION_H
#define EBB_LIBC_VERSION_H

#if defined(__x86_64__)
#define LIBC_VERSION "GLIBC_2.2.5"
#else
#define LIBC_VERSION "GLIBC_2.17"
#endif

#endif
