/* SPDX-License-Identifier: Apache-2.0 */
#include "driver/fail.h"

#include "driver/entry.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RULES_MAX = 128
};

struct rule {
    unsigned index;
    uint64_t count; /* the call that fails, from 1 */
    bool onward;    /* and all after it */
    int result;
    char library[64]; /* part of a file name; empty: any caller */
    uint64_t seen;
};

static struct rule rules[RULES_MAX];
static unsigned rule_count;

static bool entry_find(const char *name, unsigned *index)
{
    for (unsigned i = 0; i < entry_count; i++) {
        if (strcmp(entries[i].symbol, name) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool rule_read(char *text, struct rule *rule)
{
    char *library = strchr(text, '@');
    char *end = strchr(text, ':');

    if (library) {
        *library++ = '\0';
        if (!*library || strlen(library) >= sizeof rule->library)
            return false;
        strcpy(rule->library, library);
    }
    if (!end)
        return false;
    *end++ = '\0';
    if (!entry_find(text, &rule->index))
        return false;
    rule->count = strtoull(end, &end, 10);
    rule->onward = *end == '+';
    end += rule->onward;
    end += *end == ':';
    rule->result = CUDA_ERROR_OUT_OF_MEMORY;
    if (*end == '=')
        rule->result = (int)strtol(end + 1, &end, 10);
    return rule->count && rule->result && !*end;
}

bool fail_read(const char *list)
{
    char *copy = strdup(list), *rest = copy, *item;
    bool good = copy;

    while (good && (item = strsep(&rest, ","))) {
        char shown[128];

        snprintf(shown, sizeof shown, "%s", item);
        good = rule_count < RULES_MAX && rule_read(item, &rules[rule_count]);
        if (good)
            rule_count++;
        else
            fprintf(stderr,
                    "simgpu: SIMGPU_FAIL: cannot use '%s'; expected NAME:COUNT[+][:=CODE][@LIBRARY]\n",
                    shown);
    }
    free(copy);
    return good;
}

/* The file name of what the address lies in; the program itself has no name in the loader's list. */
static bool object_name(const void *address, char *name, size_t room)
{
    struct link_map *map = NULL;
    Dl_info info;
    ssize_t length;

    if (!dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
        return false;
    if (*map->l_name) {
        snprintf(name, room, "%s", map->l_name);
        return true;
    }
    length = readlink("/proc/self/exe", name, room - 1);
    if (length < 0)
        return false;
    name[length] = '\0';
    return true;
}

static bool called_from(const char *library, const void *return_address)
{
    char name[4096];
    const char *slash;

    if (!*library)
        return true;
    if (!object_name(return_address, name, sizeof name))
        return false;
    slash = strrchr(name, '/');
    return strstr(slash ? slash + 1 : name, library);
}

int fail_judge(unsigned index, const void *return_address)
{
    int result = 0;

    for (unsigned i = 0; i < rule_count; i++) {
        struct rule *rule = &rules[i];
        uint64_t seen;

        if (rule->index != index || !called_from(rule->library, return_address))
            continue;
        seen = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_RELAXED);
        if (!result && (seen == rule->count || (rule->onward && seen > rule->count)))
            result = rule->result;
    }
    return result;
}
