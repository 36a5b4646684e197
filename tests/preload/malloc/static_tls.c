/* SPDX-License-Identifier: Apache-2.0 */
/* static_tls.c - a plugin that needs static thread-local storage, of which a process has some 1.5 KiB to spare. */
static __thread char local[1200] __attribute__((tls_model("initial-exec")));

char *static_tls(void);
char *static_tls(void)
{
    return local;
}
