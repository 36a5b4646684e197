/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_next.c - see malloc_state.h. */
#include "base/compiler.h"
#include "heap/malloc_state.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>

struct malloc_next malloc_next = {
    .malloc = __libc_malloc,
    .calloc = __libc_calloc,
    .realloc = __libc_realloc,
    .memalign = __libc_memalign,
    .free = __libc_free,
};

/* The object that its functions lie in. */
static const void *next_base;

static const struct {
    const char *name;
    size_t at;
} functions[] = {
    {"malloc", offsetof(struct malloc_next, malloc)},
    {"calloc", offsetof(struct malloc_next, calloc)},
    {"realloc", offsetof(struct malloc_next, realloc)},
    {"memalign", offsetof(struct malloc_next, memalign)},
    {"free", offsetof(struct malloc_next, free)},
    {"malloc_usable_size", offsetof(struct malloc_next, usable_size)},
    {"mallocx", offsetof(struct malloc_next, mallocx)},
    {"rallocx", offsetof(struct malloc_next, rallocx)},
    {"xallocx", offsetof(struct malloc_next, xallocx)},
    {"sallocx", offsetof(struct malloc_next, sallocx)},
    {"nallocx", offsetof(struct malloc_next, nallocx)},
    {"dallocx", offsetof(struct malloc_next, dallocx)},
    {"sdallocx", offsetof(struct malloc_next, sdallocx)},
    {"mallctl", offsetof(struct malloc_next, mallctl)},
    {"mallctlnametomib", offsetof(struct malloc_next, mallctlnametomib)},
    {"mallctlbymib", offsetof(struct malloc_next, mallctlbymib)},
    {"malloc_stats_print", offsetof(struct malloc_next, malloc_stats_print)},
};

/* Where the object begins that has this function; NULL: no function. */
static const void *base_of(const void *function)
{
    Dl_info found;

    return function && dladdr(function, &found) ? found.dli_fbase : NULL;
}

bool malloc_next_find(void)
{
    void *(*libc_malloc)(size_t) = __libc_malloc;
    int error = errno;
    void *function = dlsym(RTLD_NEXT, "malloc");
    const void *base;
    bool has_operators;

    /* libc's is known by its address: dladdr(3) goes through all of its symbols, a fifth of what a start costs. */
    if (function == *(void **)&libc_malloc)
        return false;
    base = base_of(function);
    if (!base)
        return false;
    has_operators = base_of(dlsym(RTLD_NEXT, "_Znwm")) == base;
    for (size_t i = 0; has_operators && i < sizeof(functions) / sizeof(functions[0]); i++) {
        function = dlsym(RTLD_NEXT, functions[i].name);
        if (function)
            memcpy((char *)&malloc_next + functions[i].at, &function, sizeof(function));
    }
    (void)dlerror();
    if (has_operators)
        next_base = base;
    errno = error;
    return has_operators;
}

static bool is_operator(const char *name)
{
    return strncmp(name, "_Zn", 3) == 0 ? name[3] == 'w' || name[3] == 'a'
                                        : strncmp(name, "_Zd", 3) == 0 && (name[3] == 'l' || name[3] == 'a');
}

/* The symbols that an object wants from others come before those that its table of hashes begins with. */
static bool wants_operator(const ElfW(Sym) * symbols, const char *names, const uint32_t *hashes)
{
    for (uint32_t i = 1; i < hashes[1]; i++)
        if (symbols[i].st_shndx == SHN_UNDEF && is_operator(names + symbols[i].st_name))
            return true;
    return false;
}

/* 1: the object calls operators that are not its own. */
static int is_user(struct dl_phdr_info *object, IGNORED size_t bytes, IGNORED void *arg)
{
    const ElfW(Dyn) *one = NULL;
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    const uint32_t *hashes = NULL;

    for (unsigned i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
            one = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    if (!one || base_of(one) == next_base)
        return 0;
    for (; one->d_tag != DT_NULL; one++) {
        const void *there = (const void *)one->d_un.d_ptr;

        if (one->d_un.d_ptr <
            object->dlpi_addr) /* the kernel's own object is not relocated, and wants nothing */
            continue;
        if (one->d_tag == DT_STRTAB)
            names = there;
        else if (one->d_tag == DT_SYMTAB)
            symbols = there;
        else if (one->d_tag == DT_GNU_HASH)
            hashes = there;
    }
    return names && symbols && hashes && wants_operator(symbols, names, hashes);
}

bool malloc_next_has_users(void)
{
    return next_base && dl_iterate_phdr(is_user, NULL);
}
