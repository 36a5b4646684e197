/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_programs.c - see malloc_programs.h. */
#include "malloc_programs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"

#define GOAL 1.02
/* libc grows a text where it lies more often: malloc_grow.c keeps this, and without it the ratio is above 2. */
#define GROW_GOAL 1.5

enum {
    LOAD_COUNT = 100000,
    SAMPLES_MOST = 128
};

/* What the system's programs do: `$1` says how often, and nothing of it is seen. */
static const struct {
    const char *name, *file, *script;
} programs[] = {
    {"sqlite3", "/usr/bin/sqlite3",
     "echo \"CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
     "SELECT i + 1 FROM "
     "n WHERE i < $1 * 20000) INSERT INTO t SELECT i, hex(i * 7919) FROM n; CREATE INDEX x ON t(b); SELECT "
     "count(*), "
     "max(b) FROM t GROUP BY substr(b, 1, 3);\" | /usr/bin/sqlite3 :memory: "
     ">/dev/null"},
    {"python3", "/usr/bin/python3",
     "/usr/bin/python3 -S -c \"import sys\nfor n in range(int(sys.argv[1])):\n"
     "  d = {str(i): [i] * (i % 50) for i in range(20000)}\n  s = ','.join(sorted(d)).split(',')\n\" $1"},
    /* A unit with something in it: what its five starts cost is what bench/alloc measures. */
    {"gcc", "/usr/bin/cc",
     "f=$(mktemp) || exit 1; i=0; { echo '#include <stdio.h>'; echo '#include <stdlib.h>'; "
     "while [ $i -lt 60 ]; do i=$((i + 1)); echo \"int f$i(int a) { int s = 0; for (int i = 0; i < a; i++) "
     "s += printf(\\\"%d\\\", rand() % (i + $i)); return s; }\"; done; } >$f; i=0; "
     "while [ $i -lt $1 ]; do i=$((i + 1)); /usr/bin/cc -O2 -x c -c -o /dev/null $f || exit 1; done; rm $f"},
    /* Debian's is linked to jemalloc: without the library that is what serves it. */
    {"redis", "/usr/bin/redis-server",
     "d=$(mktemp -d) || exit 1; timeout -k 5 60 /usr/bin/redis-server --unixsocket $d/socket --port 0 --save "
     "'' "
     "--dir $d >/dev/null 2>&1 & s=$!; i=0; until [ -S $d/socket ] || [ $i = 1000 ]; do i=$((i + 1)); "
     "sleep 0.01; done; "
     "timeout -k 5 60 redis-benchmark -s $d/socket -n $(($1 * 2000)) -P 16 -d 512 -r 10000 -q "
     "-t set,get,lpush,lpop,sadd,hset,zadd >/dev/null 2>&1; r=$?; kill $s; wait $s; rm -r $d; exit $r"},
};

struct program {
    const char *name;
    const char *script; /* NULL: a load */
    bool preloaded;
    double ns[SAMPLES_MOST];
    unsigned samples;
};

static double run(void *arg, uint64_t count)
{
    struct program *program = arg;
    char library[PATH_MAX], times[24];
    const char *const environment[] = {"EBBTIDE_LOG", "error", program->preloaded ? "LD_PRELOAD" : NULL,
                                       library, NULL};
    const char *const load[] = {program->name, times, NULL};
    const char *const script[] = {"-c", program->script, "sh", times, NULL};
    const struct child child = {program->script ? "/bin/sh" : "malloc_program",
                                program->script ? script : load, environment, false};
    double cpu_ns, wall_ns;
    bool is_done;

    snprintf(times, sizeof(times), "%llu", (unsigned long long)count);
    if (program->preloaded && !child_copy_library(library)) {
        perror("bench: a copy of the library");
        return -1;
    }
    is_done = child_time(&child, &cpu_ns, &wall_ns);
    if (program->preloaded)
        unlink(library);
    if (!is_done)
        return -1;
    if (program->samples < SAMPLES_MOST)
        program->ns[program->samples++] = cpu_ns;
    return cpu_ns / (double)count;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* The median of what one round's pair says, without the first, which is not counted. */
static double ratio_of(const struct program *libc, const struct program *ours)
{
    double ratio[SAMPLES_MOST];
    unsigned count = 0;

    for (unsigned i = 1; i < libc->samples && i < ours->samples; i++)
        ratio[count++] = ours->ns[i] / libc->ns[i];
    qsort(ratio, count, sizeof(*ratio), by_size);
    return count ? ratio[count / 2] : 1;
}

/* Returns the ratio; 0: it cannot run here. */
static double measure(struct rounds *rounds, const char *name, const char *script, uint64_t count,
                      double goal)
{
    static struct program libc, ours;
    const struct variant variants[] = {
        {"libc", run, &libc, count, {0}},
        {"the library", run, &ours, count, {"M3", GOAL_RATIO, goal}},
    };
    char group[64];

    libc = (struct program){.name = name, .script = script};
    ours = (struct program){.name = name, .script = script, .preloaded = true};
    snprintf(group, sizeof(group), "program %s", name);
    rounds_run(rounds, group, variants, 2);
    return libc.samples && ours.samples ? ratio_of(&libc, &ours) : 0;
}

void malloc_programs_measure(struct rounds *rounds)
{
    static const char *const loads[] = {"larson", "cross",   "scratch", "large",
                                        "churn",  "threads", "grow",    "trees"};
    double product = 1, ratio;
    unsigned count = 0;

    if (rounds->count)
        return;
    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        ratio = measure(rounds, loads[i], NULL, LOAD_COUNT, strcmp(loads[i], "grow") ? GOAL : GROW_GOAL);
        product *= ratio > 0 ? ratio : 1;
        count += ratio > 0;
    }
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        if (access(programs[i].file, X_OK) < 0) {
            rounds_skip(rounds, programs[i].name, "it is not installed");
            continue;
        }
        ratio = measure(rounds, programs[i].name, programs[i].script, 10, GOAL);
        product *= ratio > 0 ? ratio : 1;
        count += ratio > 0;
    }
    if (count)
        printf("  M3: geometric mean over %u programs %.3f, at most 0.85: %s\n", count,
               pow(product, 1.0 / count), pow(product, 1.0 / count) <= 0.85 ? "met" : "missed");
}
