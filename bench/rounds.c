/* SPDX-License-Identifier: Apache-2.0 */
/* rounds.c - see rounds.h. */
#include "rounds.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ROUNDS = 11,
    ROUNDS_MAX = 101,
    QUICK_ROUNDS = 2,
    QUICK_SHARE = 64, /* of the operations */
    VARIANTS_MAX = 16
};

/* What one variant took, by round. */
struct figures {
    double ns[ROUNDS_MAX];
    double ratio[ROUNDS_MAX]; /* to the anchor in the same round */
    bool skipped;
};

static double clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double rounds_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

double rounds_wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void usage(const char *name)
{
    fprintf(stderr, "usage: %s [--rounds N] [--json FILE] [--quick] [--count VARIANT OPERATIONS]\n", name);
    exit(2);
}

void rounds_init(struct rounds *rounds, const char *name, int argc, char **argv)
{
    *rounds = (struct rounds){.name = name, .rounds = ROUNDS, .random = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            rounds->quick = true;
            rounds->rounds = QUICK_ROUNDS;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds->rounds = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc && !rounds->json) {
            rounds->json = fopen(argv[++i], "w");
            if (!rounds->json) {
                perror(argv[i]);
                exit(1);
            }
        } else if (strcmp(argv[i], "--count") == 0 && i + 2 < argc) {
            rounds->count = argv[++i];
            rounds->count_operations = strtoull(argv[++i], NULL, 10);
        } else {
            usage(argv[0]);
        }
    }
    if (rounds->rounds < 1 || rounds->rounds > ROUNDS_MAX)
        usage(argv[0]);
    if (rounds->json)
        fprintf(rounds->json, "{\"name\": \"%s\", \"rounds\": %u, \"groups\": [", name, rounds->rounds);
    if (!rounds->count)
        printf("%-30s %-34s %12s %12s %9s %9s\n", "group", "variant", "median_ns", "min_ns", "ratio_med",
               "ratio_min");
}

static unsigned draw(struct rounds *rounds, unsigned below)
{
    rounds->random = rounds->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((rounds->random >> 33) % below);
}

static void shuffle(struct rounds *rounds, unsigned *order, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned other = draw(rounds, i + 1);

        order[i] = order[other];
        order[other] = i;
    }
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(const double *samples, unsigned count)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, samples, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_size);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static double least(const double *samples, unsigned count)
{
    double best = samples[0];

    for (unsigned i = 1; i < count; i++)
        best = samples[i] < best ? samples[i] : best;
    return best;
}

static uint64_t operations_of(const struct rounds *rounds, const struct variant *variant)
{
    uint64_t few = variant->operations / QUICK_SHARE;

    return !rounds->quick ? variant->operations : few ? few : 1;
}

static void measure(struct rounds *rounds, const struct variant *variants, unsigned count,
                    struct figures *figures)
{
    unsigned order[VARIANTS_MAX];

    /* The first time faults memory in and is not counted. */
    for (unsigned i = 0; i < count; i++)
        figures[i].skipped = variants[i].measure(variants[i].arg, operations_of(rounds, &variants[i])) < 0;
    for (unsigned round = 0; round < rounds->rounds; round++) {
        shuffle(rounds, order, count);
        for (unsigned i = 0; i < count; i++) {
            const struct variant *variant = &variants[order[i]];
            struct figures *of = &figures[order[i]];

            if (!of->skipped)
                of->ns[round] = variant->measure(variant->arg, operations_of(rounds, variant));
            of->skipped = of->skipped || of->ns[round] < 0;
        }
        for (unsigned i = 0; i < count; i++)
            figures[i].ratio[round] = figures[i].ns[round] / figures[0].ns[round];
    }
}

static const char *const goal_words[] = {
    [GOAL_NS] = "ns", [GOAL_ADDED] = "ns more than the anchor", [GOAL_RATIO] = "times the anchor"};

static void print_goal(struct rounds *rounds, const struct goal *goal, const struct variant *variants,
                       const struct figures *figures, unsigned index, unsigned anchor_index)
{
    const struct figures *of = &figures[index], *anchor = &figures[anchor_index];
    double samples[ROUNDS_MAX], middle, best;

    if (!goal->name || of->skipped || anchor->skipped)
        return;
    for (unsigned i = 0; i < rounds->rounds; i++)
        samples[i] = goal->kind == GOAL_NS      ? of->ns[i]
                     : goal->kind == GOAL_ADDED ? of->ns[i] - anchor->ns[i]
                                                : of->ns[i] / anchor->ns[i];
    middle = median(samples, rounds->rounds);
    rounds->goals++;
    rounds->met += middle <= goal->limit;
    best = least(samples, rounds->rounds);
    printf("  goal %s: %s at most %.6g %s%s%s, measured %.4g (best %.4g): %s\n", goal->name,
           variants[index].name, goal->limit, goal_words[goal->kind], anchor_index ? ", " : "",
           anchor_index ? variants[anchor_index].name : "", middle, best,
           middle <= goal->limit ? "met"
           : best <= goal->limit ? "missed, met in the best round"
                                 : "missed");
}

static void print_group(struct rounds *rounds, const char *group, const struct variant *variants,
                        unsigned count, const struct figures *figures)
{
    for (unsigned i = 0; i < count; i++) {
        if (figures[i].skipped)
            printf("%-30s %-34s skipped: it cannot run here\n", group, variants[i].name);
        else
            printf("%-30s %-34s %12.2f %12.2f %9.3f %9.3f\n", group, variants[i].name,
                   median(figures[i].ns, rounds->rounds), least(figures[i].ns, rounds->rounds),
                   median(figures[i].ratio, rounds->rounds), least(figures[i].ratio, rounds->rounds));
    }
    for (unsigned i = 0; i < count; i++)
        print_goal(rounds, &variants[i].goal, variants, figures, i, 0);
    if (rounds->versus)
        print_goal(rounds, &rounds->versus->goal, variants, figures, rounds->versus->variant,
                   rounds->versus->anchor);
    fflush(stdout);
}

static void write_variant(FILE *json, const struct variant *variant, const struct figures *figures,
                          unsigned rounds)
{
    fprintf(json,
            "{\"variant\": \"%s\", \"median_ns\": %.4f, \"min_ns\": %.4f, \"ratio_median\": %.5f, "
            "\"ratio_min\": %.5f, ",
            variant->name, median(figures->ns, rounds), least(figures->ns, rounds),
            median(figures->ratio, rounds), least(figures->ratio, rounds));
    if (variant->goal.name)
        fprintf(json, "\"goal\": {\"name\": \"%s\", \"at_most\": %g, \"unit\": \"%s\"}, ", variant->goal.name,
                variant->goal.limit, goal_words[variant->goal.kind]);
    fprintf(json, "\"samples_ns\": [");
    for (unsigned round = 0; round < rounds; round++)
        fprintf(json, "%s%.4f", round ? ", " : "", figures->ns[round]);
    fprintf(json, "]}");
}

static void write_group(struct rounds *rounds, const char *group, const struct variant *variants,
                        unsigned count, const struct figures *figures)
{
    const char *comma = "";

    fprintf(rounds->json, "%s\n  {\"group\": \"%s\", \"variants\": [", rounds->groups ? "," : "", group);
    for (unsigned i = 0; i < count; i++) {
        if (figures[i].skipped)
            continue;
        fprintf(rounds->json, "%s\n    ", comma);
        write_variant(rounds->json, &variants[i], &figures[i], rounds->rounds);
        comma = ",";
    }
    fprintf(rounds->json, "]}");
}

void rounds_run(struct rounds *rounds, const char *group, const struct variant *variants, unsigned count)
{
    static struct figures figures[VARIANTS_MAX];

    if (count > VARIANTS_MAX)
        abort();
    for (unsigned i = 0; rounds->count && i < count; i++)
        if (strcmp(variants[i].name, rounds->count) == 0)
            variants[i].measure(variants[i].arg, rounds->count_operations);
    if (rounds->count)
        return;
    measure(rounds, variants, count, figures);
    if (figures[0].skipped) {
        rounds_skip(rounds, group, "its anchor cannot run here");
        return;
    }
    print_group(rounds, group, variants, count, figures);
    if (rounds->json)
        write_group(rounds, group, variants, count, figures);
    rounds->groups++;
}

void rounds_skip(struct rounds *rounds, const char *group, const char *why)
{
    if (!rounds->count)
        printf("%-30s skipped: %s\n", group, why);
}

int rounds_finish(struct rounds *rounds)
{
    bool bad = false;

    if (rounds->goals)
        printf("%s: %u of %u goals met\n", rounds->name, rounds->met, rounds->goals);
    if (rounds->json) {
        fprintf(rounds->json, "\n]}\n");
        bad = ferror(rounds->json) != 0;
        bad = fclose(rounds->json) != 0 || bad;
    }
    if (bad)
        fprintf(stderr, "%s: the results could not be written\n", rounds->name);
    return bad;
}
