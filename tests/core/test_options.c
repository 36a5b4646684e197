/* SPDX-License-Identifier: Apache-2.0 */
/* Options: defaults, values, complaints; the environment is always one that the test made. */
#include "base/options.h"
#include "policy/policies.h"

#include "base/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* What options_parse complained of. */
struct heard {
    int count;
    enum options_fault fault;
    char text[OPTIONS_TEXT_BYTES];
};

static void hear(const struct options_complaint *complaint, void *arg)
{
    struct heard *heard = arg;
    heard->count++;
    heard->fault = complaint->fault;
    options_describe(complaint, heard->text, sizeof(heard->text));
}

/* Parse one variable. */
static struct heard parse(struct options *o, const char *entry)
{
    const char *const environment[] = {"PATH=/bin", entry, NULL};
    struct heard heard = {0};
    int faults = options_parse(o, environment, hear, &heard);
    cr_expect_eq(faults, heard.count);
    return heard;
}

static void expect_taken(struct options *o, const char *entry)
{
    struct heard heard = parse(o, entry);
    cr_expect_eq(heard.count, 0, "%s: %s", entry, heard.text);
}

/* The entry gives one complaint with this text, and every option keeps its default. */
static void expect_refused(const char *entry, enum options_fault fault, const char *text)
{
    struct options o, untouched;
    options_init(&untouched);
    struct heard heard = parse(&o, entry);
    cr_expect_eq(heard.count, 1, "%s: %d complaints", entry, heard.count);
    cr_expect_eq(heard.fault, fault, "%s: %s", entry, heard.text);
    cr_expect_str_eq(heard.text, text);
    cr_expect_arr_eq(&o, &untouched, sizeof(o), "%s changed an option", entry);
}

Test(options, defaults_are_those_of_the_contract)
{
    struct options o;
    cr_assert_eq(options_parse(&o, NULL, NULL, NULL), 0);
    for (int i = 0; i < OPTIONS_DEVICES; i++)
        cr_expect(o.device_budget.of[i].kind == SIZE_FRACTION && o.device_budget.of[i].ppm == 950000);
    cr_expect(o.host_budget.kind == SIZE_FRACTION && o.host_budget.ppm == 800000);
    cr_expect_eq(o.disk, DISK_REGISTERED);
    cr_expect(o.disk_budget.kind == SIZE_FRACTION && o.disk_budget.ppm == 750000);
    cr_expect_eq(o.spill_dir.count, 1);
    cr_expect_str_eq(o.spill_dir.of[0].path, "/var/tmp");
    cr_expect_not(o.spill_dir.of[0].has_budget);
    cr_expect_eq(o.high_ppm, 850000);
    cr_expect_eq(o.low_ppm, 700000);
    cr_expect_eq(o.period_ms, 50);
    cr_expect_eq(o.cold_ms, 1000);
    cr_expect_eq(o.wait_ms, 100);
    cr_expect_eq(o.drain_ms, 30000);
    cr_expect_eq(o.cacheable, CACHEABLE_AUTO);
    cr_expect_eq(o.min_block_bytes, 0);
    cr_expect_eq(o.host_cacheable_bytes, UINT64_MAX);
    cr_expect_eq(o.deepbind, DEEPBIND_CLEAR);
    cr_expect_eq(o.residency, RESIDENCY_AUTO);
    cr_expect_eq(o.on_full, ON_FULL_REFUSE);
    cr_expect_eq(o.meminfo, MEMINFO_VIRTUAL);
    cr_expect_not(o.verify);
    cr_expect_not(o.stats);
    cr_expect_str_eq(o.stats_json_path, "");
    cr_expect_eq(o.log_level, LOG_WARN);
    cr_expect_str_eq(o.log_path, "");
    cr_expect_not(o.disable);
}

Test(options, each_row_has_a_default_that_it_takes_and_a_flag_like_its_variable)
{
    struct options o;
    options_init(&o);
    for (const struct option_row *row = options_rows; row->variable; row++) {
        char flag[64] = "";
        for (size_t i = 0; row->variable[8 + i]; i++) {
            char c = row->variable[8 + i];
            flag[i] = c == '_' ? '-' : (char)(c + ('a' - 'A'));
        }
        cr_expect_str_eq(row->flag, flag);
        cr_expect_eq(options_set(&o, row->variable, row->default_text), 0, "%s", row->variable);
        cr_expect_eq(options_find(row->variable), row);
        cr_expect_eq(options_find_flag(row->flag), row);
    }
}

Test(options, each_word_of_a_choice_is_its_enum)
{
    struct options o;
    expect_taken(&o, "EBBTIDE_DISK=auto");
    cr_expect_eq(o.disk, DISK_AUTO);
    expect_taken(&o, "EBBTIDE_DISK=always");
    cr_expect_eq(o.disk, DISK_ALWAYS);
    expect_taken(&o, "EBBTIDE_DISK=off");
    cr_expect_eq(o.disk, DISK_OFF);
    expect_taken(&o, "EBBTIDE_CACHEABLE=registered");
    cr_expect_eq(o.cacheable, CACHEABLE_REGISTERED);
    expect_taken(&o, "EBBTIDE_CACHEABLE=none");
    cr_expect_eq(o.cacheable, CACHEABLE_NONE);
    expect_taken(&o, "EBBTIDE_DEEPBIND=keep");
    cr_expect_eq(o.deepbind, DEEPBIND_KEEP);
    expect_taken(&o, "EBBTIDE_RESIDENCY=mapped");
    cr_expect_eq(o.residency, RESIDENCY_MAPPED);
    expect_taken(&o, "EBBTIDE_RESIDENCY=strict");
    cr_expect_eq(o.residency, RESIDENCY_STRICT);
    expect_taken(&o, "EBBTIDE_ON_FULL=allow");
    cr_expect_eq(o.on_full, ON_FULL_ALLOW);
    expect_taken(&o, "EBBTIDE_MEMINFO=real");
    cr_expect_eq(o.meminfo, MEMINFO_REAL);
    expect_taken(&o, "EBBTIDE_ALLOCATOR=native");
    cr_expect_eq(o.allocator, ALLOCATOR_NATIVE);
    expect_taken(&o, "EBBTIDE_ALLOCATOR=managed");
    cr_expect_eq(o.allocator, ALLOCATOR_MANAGED);
    expect_taken(&o, "EBBTIDE_ALLOCATOR=pool");
    cr_expect_eq(o.allocator, ALLOCATOR_POOL);
    expect_taken(&o, "EBBTIDE_LOG=error");
    cr_expect_eq(o.log_level, LOG_ERROR);
    expect_taken(&o, "EBBTIDE_LOG=info");
    cr_expect_eq(o.log_level, LOG_INFO);
    expect_taken(&o, "EBBTIDE_LOG=debug");
    cr_expect_eq(o.log_level, LOG_DEBUG);
    expect_taken(&o, "EBBTIDE_LOG=trace");
    cr_expect_eq(o.log_level, LOG_TRACE);
}

#define POLICY_NAME(name, rank, by_bytes) #name,
Test(options, the_words_of_the_policy_are_the_rows_of_its_table)
{
    static const char *const name[] = {POLICIES(POLICY_NAME)};
    struct options o;

    for (unsigned kind = 0; kind < POLICY_COUNT; kind++) {
        char entry[64] = "EBBTIDE_POLICY=";
        size_t length = strlen(entry);

        for (const char *at = name[kind]; *at; at++)
            entry[length++] = (char)(*at | 32);
        expect_taken(&o, entry);
        cr_expect_eq((unsigned)o.policy, kind, "%s is row %d", entry, o.policy);
    }
}

Test(options, a_device_budget_holds_for_every_device)
{
    struct options o;
    expect_taken(&o, "EBBTIDE_DEVICE_BUDGET=8G");
    for (int i = 0; i < OPTIONS_DEVICES; i++)
        cr_expect(o.device_budget.of[i].kind == SIZE_BYTES && o.device_budget.of[i].bytes == 8 * GIB);
}

Test(options, a_device_budget_may_name_devices_and_the_others_keep_the_default)
{
    struct options o;
    expect_taken(&o, "EBBTIDE_DEVICE_BUDGET=0:8G,15:50%");
    cr_expect_eq(o.device_budget.of[0].bytes, 8 * GIB);
    cr_expect_eq(o.device_budget.of[15].ppm, 500000);
    cr_expect_eq(o.device_budget.of[1].ppm, 950000);
    expect_taken(&o, "EBBTIDE_DEVICE_BUDGET=4G,1:off");
    cr_expect_eq(o.device_budget.of[0].bytes, 4 * GIB);
    cr_expect_eq(o.device_budget.of[1].kind, SIZE_NO_LIMIT);
}

Test(options, malformed_device_budgets_are_refused)
{
    static const char *const bad[] = {"0:",        ":8G",        "16:8G",         "-1:8G",   "0:8G,",
                                      ",0:8G",     "0:8G,,1:8G", "0:8G,0:9G",     "0:8G,9G", "8G,9G",
                                      "0:8G 1:9G", "a:8G",       "4294967296:8G", "0:1:8G",  "x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct options o, untouched;
        options_init(&o);
        options_init(&untouched);
        cr_expect_eq(options_set(&o, "EBBTIDE_DEVICE_BUDGET", bad[i]), -EINVAL, "'%s' is taken", bad[i]);
        cr_expect_arr_eq(&o, &untouched, sizeof(o));
    }
}

Test(options, spill_directories_may_carry_sizes)
{
    struct options o;
    expect_taken(&o, "EBBTIDE_SPILL_DIR=/mnt/a:100G,/mnt/b,/mnt/c:50%");
    cr_assert_eq(o.spill_dir.count, 3);
    cr_expect_str_eq(o.spill_dir.of[0].path, "/mnt/a");
    cr_expect(o.spill_dir.of[0].has_budget && o.spill_dir.of[0].budget.bytes == 100 * GIB);
    cr_expect_str_eq(o.spill_dir.of[1].path, "/mnt/b");
    cr_expect_not(o.spill_dir.of[1].has_budget);
    cr_expect(o.spill_dir.of[2].has_budget && o.spill_dir.of[2].budget.ppm == 500000);
}

Test(options, malformed_spill_directories_are_refused)
{
    static const char *const bad[] = {
        "tmp", "./a", "/a,", "/a,,/b", "/a:", "/a:x", ":8G", "/a:8G,b", "/1,/2,/3,/4,/5,/6,/7,/8,/9"};
    struct options o;
    options_init(&o);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_eq(options_set(&o, "EBBTIDE_SPILL_DIR", bad[i]), -EINVAL, "'%s' is taken", bad[i]);
    cr_expect_str_eq(o.spill_dir.of[0].path, "/var/tmp");
}

Test(options, a_pool_has_an_initial_and_a_maximum_size)
{
    static const char *const bad[] = {"EBBTIDE_POOL=1G",     "EBBTIDE_POOL=:",      "EBBTIDE_POOL=2G:1G",
                                      "EBBTIDE_POOL=off:1G", "EBBTIDE_POOL=1G:off", "EBBTIDE_POOL=1G:2G:3G"};
    struct options o;

    expect_taken(&o, "EBBTIDE_POOL=512M:0.5");
    cr_expect_eq(o.pool.initial.bytes, 512 * MIB);
    cr_expect_eq(o.pool.maximum.ppm, SIZE_PPM_WHOLE / 2);
    expect_taken(&o, "EBBTIDE_POOL=0:budget");
    cr_expect_eq(o.pool.initial.bytes, 0);
    cr_expect_eq(o.pool.maximum.ppm, SIZE_PPM_WHOLE);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct heard heard = parse(&o, bad[i]);

        cr_expect_eq(heard.count, 1, "%s", bad[i]);
        cr_expect_eq(heard.fault, OPTIONS_BAD_VALUE, "%s", bad[i]);
    }
}

Test(options, relative_paths_are_taken_from_a_folder)
{
    const char *const environment[] = {"EBBTIDE_LOG_FILE=log", "EBBTIDE_STATS_JSON=/a/%p.json", NULL};
    struct options o;

    cr_assert_eq(options_parse(&o, environment, NULL, NULL), 0);
    cr_expect_eq(options_make_absolute(&o, "/the/folder"), 0);
    cr_expect_str_eq(o.log_path, "/the/folder/log");
    cr_expect_str_eq(o.stats_json_path, "/a/%p.json");
    options_init(&o);
    cr_expect_eq(options_make_absolute(&o, "/the/folder"), 0);
    cr_expect_str_eq(o.log_path, "");
}

Test(options, a_relative_path_that_would_be_too_long_stays)
{
    char folder[OPTIONS_PATH_BYTES];
    const char *const environment[] = {"EBBTIDE_LOG_FILE=log", NULL};
    struct options o;

    memset(folder, 'a', sizeof folder);
    folder[0] = '/';
    folder[OPTIONS_PATH_BYTES - 4] = '\0';
    cr_assert_eq(options_parse(&o, environment, NULL, NULL), 0);
    cr_expect_eq(options_make_absolute(&o, folder), -ENAMETOOLONG);
    cr_expect_str_eq(o.log_path, "log");
    folder[OPTIONS_PATH_BYTES - 5] = '\0';
    cr_expect_eq(options_make_absolute(&o, folder), 0);
    cr_expect_eq(strlen(o.log_path), OPTIONS_PATH_BYTES - 1);
}

Test(options, a_path_that_does_not_fit_is_refused_and_not_cut)
{
    struct options o;
    char path[OPTIONS_PATH_BYTES + 1];
    options_init(&o);
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[OPTIONS_PATH_BYTES] = '\0';
    cr_expect_eq(options_set(&o, "EBBTIDE_STATS_JSON", path), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_SPILL_DIR", path), -EINVAL);
    path[OPTIONS_PATH_BYTES - 1] = '\0';
    cr_expect_eq(options_set(&o, "EBBTIDE_STATS_JSON", path), 0);
    cr_expect_str_eq(o.stats_json_path, path);
}

Test(options, numbers_fractions_flags_and_bytes_are_strict)
{
    struct options o;
    options_init(&o);
    cr_expect_eq(options_set(&o, "EBBTIDE_PERIOD_MS", "0"), 0);
    cr_expect_eq(o.period_ms, 0);
    cr_expect_eq(options_set(&o, "EBBTIDE_PERIOD_MS", "60000"), 0);
    cr_expect_eq(options_set(&o, "EBBTIDE_PERIOD_MS", "60001"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_PERIOD_MS", "5s"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_PERIOD_MS", "-1"), -EINVAL);
    cr_expect_eq(o.period_ms, 60000);
    cr_expect_eq(options_set(&o, "EBBTIDE_HIGH", "1"), 0);
    cr_expect_eq(o.high_ppm, SIZE_PPM_WHOLE);
    cr_expect_eq(options_set(&o, "EBBTIDE_HIGH", "0"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_HIGH", "8G"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_HIGH", "off"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_STATS", "1"), 0);
    cr_expect(o.stats);
    cr_expect_eq(options_set(&o, "EBBTIDE_STATS", "yes"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_MIN_BLOCK", "50%"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_MIN_BLOCK", "64K"), 0);
    cr_expect_eq(o.min_block_bytes, 65536);
    cr_expect_eq(options_set(&o, "EBBTIDE_HOST_CACHEABLE", "64M"), 0);
    cr_expect_eq(o.host_cacheable_bytes, 64 * MIB);
    cr_expect_eq(options_set(&o, "EBBTIDE_HOST_CACHEABLE", "registered"), 0);
    cr_expect_eq(o.host_cacheable_bytes, UINT64_MAX);
    cr_expect_eq(options_set(&o, "EBBTIDE_HOST_CACHEABLE", "always"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_DISK", "auto always"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_DISK", "aut"), -EINVAL);
    cr_expect_eq(options_set(&o, "EBBTIDE_NOTHING", "1"), -ENOENT);
}

Test(options, an_empty_value_means_the_default)
{
    struct options o;
    expect_taken(&o, "EBBTIDE_DISK=");
    cr_expect_eq(o.disk, DISK_REGISTERED);
    expect_taken(&o, "EBBTIDE_SPILL_DIR=");
    cr_expect_str_eq(o.spill_dir.of[0].path, "/var/tmp");
}

Test(options, a_bad_value_is_named_with_the_accepted_forms)
{
    expect_refused("EBBTIDE_DISK=maybe", OPTIONS_BAD_VALUE,
                   "EBBTIDE_DISK does not take 'maybe'; accepted: registered auto known always off");
    expect_refused("EBBTIDE_HOST_BUDGET=8GB", OPTIONS_BAD_VALUE,
                   "EBBTIDE_HOST_BUDGET does not take '8GB'; accepted: 64G, 50%, off");
    expect_refused("EBBTIDE_POLICY=newest", OPTIONS_BAD_VALUE,
                   "EBBTIDE_POLICY does not take 'newest'; accepted: lru fifo size stage lookahead");
}

Test(options, an_unknown_variable_is_named_with_the_nearest_known_one)
{
    expect_refused("EBBTIDE_DEVICE_BUGDET=8G", OPTIONS_UNKNOWN,
                   "EBBTIDE_DEVICE_BUGDET is not an option of ebbtide; did you mean EBBTIDE_DEVICE_BUDGET?");
    expect_refused(
        "EBBTIDE_COFFEE_BEANS=8G", OPTIONS_UNKNOWN,
        "EBBTIDE_COFFEE_BEANS is not an option of ebbtide; 'ebbtide run --help' lists the accepted ones");
}

Test(options, an_option_of_a_later_version_is_said_to_be_one)
{
    expect_refused("EBBTIDE_TRACE=/tmp/trace", OPTIONS_LATER, "EBBTIDE_TRACE is not in this version");
}

Test(options, names_of_scripts_and_of_others_are_passed_over)
{
    struct options o;
    expect_taken(&o, "EBBTIDE_TEST_LONG=1");
    expect_taken(&o, "XEBBTIDE_DISK=maybe");
    expect_taken(&o, "ebbtide_disk=maybe");
}

Test(options, water_marks_that_cross_fall_back_together)
{
    const char *const environment[] = {"EBBTIDE_LOW=0.6", "EBBTIDE_HIGH=0.5", NULL};
    struct options o;
    struct heard heard = {0};
    cr_expect_eq(options_parse(&o, environment, hear, &heard), 1);
    cr_expect_eq(heard.fault, OPTIONS_CROSSED);
    cr_expect_eq(o.high_ppm, 850000);
    cr_expect_eq(o.low_ppm, 700000);
}

Test(options, one_fault_does_not_keep_the_others_from_being_read)
{
    const char *const environment[] = {"EBBTIDE_DISK=maybe", "EBBTIDE_NO=1", "EBBTIDE_VERIFY=1", NULL};
    struct options o;
    cr_expect_eq(options_parse(&o, environment, NULL, NULL), 2);
    cr_expect(o.verify);
}
