/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces of launches through policy/ alone: the bytes that each policy moves for them, both ways, by the fewest that anybody
 * could who knew what comes (belady.h). No time is measured, and nothing is drawn anew: the same figures each time. Or as real
 * launches, in time (replay_time.h).
 *
 * usage: bench_replay [--traces DIR] [--uncut] [--write DIR] [--json FILE] [--quick] [--time ROUNDS] [--shrink PART] [--gbps N]
 *                     [--cut MIB] [NAME...]
 *   --traces DIR   the files in it (trace.h), in place of what trace_programs.h makes
 *   --uncut        whole traces; else the longest beginning of each in which LRU moves 8 GiB at most
 *   --write DIR    writes the traces as they are replayed into it, NAME-BUDGET
 *   --quick        the first two alone
 *   --time ROUNDS  in time, at 95, 80 and 50 percent; of the --shrink and --gbps below it, 8 and 1 without
 *   --shrink PART  blocks of a part as large
 *   --cut MIB      what LRU moves at most in that beginning, in place of 8 GiB
 *   NAME           those whose names begin so
 *
 * Prints  a row for a trace and a budget: the budget in percent of the most that lives together; the launches, and how many
 *         the whole trace has; what Belady's order moves; by that what each policy moves, in all and in the second half
 *         of the launches, where the first has taught what there is to learn; in how many pauses; and look-ahead by LRU.
 *         HARM: more than 1.05 of that, and a budget both ways on top.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay_cut.h"
#include "replay_mover.h"
#include "replay_time.h"
#include "trace_programs.h"

#define CUT_GRANULES ((uint64_t)8 << 10 >> 1) /* 8 GiB */

enum {
    TRACES_MOST = 256,
    QUICK_TRACES = 2
};

static const unsigned budgets[] = {95, 90, 80, 67, 50};
static const bool timed[] = {true, false, true, false, true};

enum {
    BUDGETS = sizeof(budgets) / sizeof(*budgets)
};

static const struct shown {
    const struct policy *policy;
    const char *name;
} shown[] = {{&policies[POLICY_LRU], "lru"},
             {&policies[POLICY_FIFO], "fifo"},
             {&policies[POLICY_LOOKAHEAD], "lookahead"}};

enum {
    SHOWN = sizeof(shown) / sizeof(*shown),
    LRU = 0,
    LOOKAHEAD = SHOWN - 1
};

struct options {
    const char *traces, *write, *json;
    char **names;
    int name_count;
    bool uncut, quick;
    uint64_t cut; /* granules */
    struct replay_time time;
};

/* ---- rows ------------------------------------------------------------------------------------------------------- */

/* Where nothing has to move, what does is out of all measure. */
static double by(const struct traffic *traffic, const struct traffic *bound)
{
    if (!traffic_sum(bound))
        return traffic_sum(traffic) ? 99 : 1;
    return (double)traffic_sum(traffic) / (double)traffic_sum(bound);
}

static void print_head(void)
{
    printf("%-18s %6s %15s %8s %10s", "trace", "budget", "launches", "room MiB", "Belady MiB");
    for (unsigned s = 0; s < SHOWN; s++)
        printf(" %9s %7s %7s", shown[s].name, "steady", "pauses");
    printf(" %7s\n", "by lru");
}

/* Look-ahead beside LRU, over all rows. */
struct sum {
    double log_ratio;
    unsigned cells, worse, harmed;
};

/* What it moves more than a twentieth above LRU counts as harm once it is a budget both ways. */
static void compare(struct sum *sum, const struct traffic *lru, const struct traffic *look, uint64_t room)
{
    double allowed = 1.05 * (double)traffic_sum(lru), moved = (double)traffic_sum(look);

    printf(" %7.3f%s\n", by(look, lru),
           moved <= allowed                      ? ""
           : moved <= allowed + 2 * (double)room ? " more than LRU"
                                                 : " HARM");
    sum->cells++;
    sum->worse += moved > allowed;
    sum->harmed += moved > allowed + 2 * (double)room;
    sum->log_ratio += log(by(look, lru));
}

static void put_cell(FILE *json, const struct shown *policy, const struct traffic *all, double ratio,
                     double steady)
{
    if (json)
        fprintf(json, ", \"%s\": %.3f, \"%s_steady\": %.3f, \"%s_pauses\": %llu", policy->name, ratio,
                policy->name, steady, policy->name, (unsigned long long)all->pauses);
}

static void replay_cell(const struct trace *trace, uint32_t whole, unsigned percent, FILE *json,
                        struct sum *sum)
{
    struct traffic bound, bound_steady, all[SHOWN], steady;
    uint64_t room = replay_room(trace, percent);
    char launches[32];

    belady_run(trace, room, &bound, &bound_steady);
    snprintf(launches, sizeof(launches), "%u of %u", trace->launches, whole);
    printf("%-18s %4u %% %15s %8llu %10llu", trace->name, percent, launches, 2 * (unsigned long long)room,
           2 * (unsigned long long)traffic_sum(&bound));
    if (json)
        fprintf(json, "%s\n  {\"trace\": \"%s\", \"budget\": %u, \"launches\": %u, \"belady_mib\": %llu",
                sum->cells ? "," : "", trace->name, percent, trace->launches,
                2 * (unsigned long long)traffic_sum(&bound));
    for (unsigned s = 0; s < SHOWN; s++) {
        replay_run(trace, room, shown[s].policy, &all[s], &steady, NULL, NULL);
        printf(" %9.3f %7.3f %7llu", by(&all[s], &bound), by(&steady, &bound_steady),
               (unsigned long long)all[s].pauses);
        put_cell(json, &shown[s], &all[s], by(&all[s], &bound), by(&steady, &bound_steady));
    }
    if (json)
        fprintf(json, ", \"hits\": %llu, \"misses\": %llu, \"early\": %llu, \"unused\": %llu}",
                (unsigned long long)replay_lookahead.hits, (unsigned long long)replay_lookahead.misses,
                (unsigned long long)replay_lookahead.early, (unsigned long long)replay_lookahead.unused);
    compare(sum, &all[LRU], &all[LOOKAHEAD], room);
}

/* ---- which traces ----------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct options *options, const char *name)
{
    for (int i = 0; i < options->name_count; i++)
        if (!strncmp(name, options->names[i], strlen(options->names[i])))
            return true;
    return !options->name_count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static unsigned files_of(const char *folder, char **out)
{
    DIR *open = opendir(folder);
    unsigned count = 0;

    if (!open) {
        perror(folder);
        exit(2);
    }
    for (struct dirent *entry; (entry = readdir(open)) && count < TRACES_MOST;)
        if (entry->d_name[0] != '.' && !(out[count++] = strdup(entry->d_name)))
            abort();
    closedir(open);
    qsort(out, count, sizeof(*out), by_name);
    return count;
}

static void replay(struct trace *trace, struct options *options, FILE *json, struct sum *sum)
{
    uint32_t whole;
    char path[4096];

    for (unsigned b = 0; b < BUDGETS; b++) {
        if (options->time.rounds && !timed[b])
            continue;
        trace_settle(trace, UINT32_MAX);
        whole = trace->launches;
        if (!options->uncut)
            replay_cut(trace, budgets[b], options->cut);
        if (options->write) {
            snprintf(path, sizeof(path), "%s/%s-%u", options->write, trace->name, budgets[b]);
            trace_write(trace, path);
        }
        if (options->time.rounds)
            replay_time_cell(&options->time, trace, whole, budgets[b]);
        else
            replay_cell(trace, whole, budgets[b], json, sum);
    }
    fflush(stdout);
}

static _Noreturn void usage(const char *name)
{
    fprintf(
        stderr,
        "usage: %s [--traces DIR] [--uncut] [--write DIR] [--json FILE] [--quick] [--time ROUNDS] [--shrink "
        "PART] [--gbps N] [--cut MIB] [NAME...]\n",
        name);
    exit(2);
}

/* An option with a value. False: it is none. */
static bool take(struct options *options, const char *name, const char *value)
{
    if (!strcmp(name, "--traces"))
        options->traces = value;
    else if (!strcmp(name, "--write"))
        options->write = value;
    else if (!strcmp(name, "--json"))
        options->json = value;
    else if (!strcmp(name, "--time"))
        options->time.rounds = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(name, "--shrink"))
        options->time.part = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(name, "--gbps"))
        options->time.gbps = strtod(value, NULL);
    else if (!strcmp(name, "--cut"))
        options->cut = strtoull(value, NULL, 10) / 2;
    else
        return false;
    return true;
}

static struct options options_of(int argc, char **argv)
{
    struct options options = {.cut = CUT_GRANULES};
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "--uncut"))
            options.uncut = true;
        else if (!strcmp(argv[i], "--quick"))
            options.quick = true;
        else if (i + 1 == argc || !take(&options, argv[i], argv[i + 1]))
            usage(argv[0]);
        else
            i++;
    }
    if (!options.time.part)
        options.time.part = options.time.rounds ? 8 : 1;
    if (!(options.time.gbps > 0))
        options.time.gbps = 1;
    options.names = argv + i;
    options.name_count = argc - i;
    return options;
}

int main(int argc, char **argv)
{
    struct options options = options_of(argc, argv);
    FILE *json = options.json ? fopen(options.json, "w") : NULL;
    char *files[TRACES_MOST];
    unsigned count = options.traces ? files_of(options.traces, files) : trace_programs_count, done = 0;
    struct sum sum = {0};

    if (options.json && !json) {
        perror(options.json);
        return 1;
    }
    if (json)
        fprintf(json, "{\"name\": \"replay\", \"cells\": [");
    if (options.time.rounds)
        replay_time_head(&options.time);
    else
        print_head();
    for (unsigned i = 0; i < count && !(options.quick && done == QUICK_TRACES); i++) {
        struct trace trace;
        char path[4096];

        if (!is_wanted(&options, options.traces ? files[i] : trace_programs[i].name))
            continue;
        if (options.traces) {
            snprintf(path, sizeof(path), "%s/%s", options.traces, files[i]);
            trace_read(&trace, path);
        } else {
            trace_init(&trace, trace_programs[i].name);
            trace_programs[i].make(&trace);
        }
        trace_shrink(&trace, options.time.part);
        replay(&trace, &options, json, &sum);
        done++;
        trace_finish(&trace);
    }
    for (unsigned i = 0; options.traces && i < count; i++)
        free(files[i]);
    replay_time_end(&options.time);
    if (sum.cells)
        printf(
            "%u rows: look-ahead moves %.3f of what LRU does by the geometric mean; more than 1.05 of it in "
            "%u, harm in %u\n",
            sum.cells, exp(sum.log_ratio / sum.cells), sum.worse, sum.harmed);
    if (json) {
        fprintf(json, "\n]}\n");
        if (fclose(json))
            return 1;
    }
    return options.time.failed ? 1 : done ? 0 : 2;
}
