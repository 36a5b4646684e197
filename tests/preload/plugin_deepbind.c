/* SPDX-License-Identifier: Apache-2.0 */
/* Linked to the driver and opened with RTLD_DEEPBIND: says what its cuInit is bound to. */
int cuInit(unsigned flags);
void *plugin_cu_init(void);

__attribute__((visibility("default"))) void *plugin_cu_init(void)
{
    return (void *)cuInit;
}
