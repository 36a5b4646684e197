/* SPDX-License-Identifier: Apache-2.0 */
/* An auditor (LD_AUDIT) that watches every binding, as profilers do, and changes nothing. */
#include <link.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT unsigned la_version(unsigned version)
{
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

EXPORT unsigned la_objopen(struct link_map *map, Lmid_t list, uintptr_t *cookie)
{
    (void)map;
    (void)list;
    (void)cookie;
    return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

#if __SIZEOF_POINTER__ == 8
EXPORT uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
                              unsigned *flags, const char *name)
{
    (void)index;
    (void)from;
    (void)to;
    (void)flags;
    (void)name;
    return symbol->st_value;
}
#endif
