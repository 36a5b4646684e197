#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `ebbtide run`: what it starts, with which environment, and what it refuses. Output is TAP.
# usage: test_run.sh COMMAND LIBRARY
set -u

. "$(dirname "$0")/tap.sh"

mkdir "$work/bin" "$work/alone" "$work/blank dir"
cp "$1" "$work/bin/ebbtide" && cp "$1" "$work/alone/ebbtide" && cp "$1" "$work/blank dir/ebbtide" || exit 1
cp "$2" "$work/bin/libebbtide.so" && cp "$2" "$work/blank dir/libebbtide.so" || exit 1
library=$work/bin/libebbtide.so
for name in $(env | sed -n 's/^\(EBBTIDE_[A-Z_]*\)=.*/\1/p') LD_PRELOAD; do
    unset "$name"
done

# Runs "$@" and leaves its exit status, standard output and standard error in $status, $out and $err.
run() {
    out=$("$@" 2>"$work/err")
    status=$?
    err=$(cat "$work/err")
}

explain() {
    printf '%s\n' "status $status" "stdout: $out" "stderr: $err"
}

# refused TEXT: exit status 125, nothing on stdout, and one line on stderr that contains TEXT.
refused() {
    [ "$status" = 125 ] && [ -z "$out" ] && [ "$(wc -l <"$work/err")" = 1 ] || return 1
    case $err in
    "ebbtide: "*"$1"*) return 0 ;;
    *) return 1 ;;
    esac
}

# printed PATTERN: exit status 0, nothing on stderr, and stdout as the basic regular expression says.
printed() {
    [ "$status" = 0 ] && [ -z "$err" ] && expr "$out" : "$1" >/dev/null
}

ebbtide=$work/bin/ebbtide

run "$ebbtide" run sh -c 'exit 7'
check "the exit status is the command's" [ "$status" = 7 ]

# shellcheck disable=SC2016
run "$ebbtide" run --stats sh -c 'echo "$@"' name --disk -- --log=x
check "options end at the first word that is none" [ "$out" = "--disk -- --log=x" ]

run "$ebbtide" run --disk auto -- printenv EBBTIDE_DISK
check "options end at --" [ "$out" = auto ]

run "$ebbtide" run --device-budget 0:8G,1:50% printenv EBBTIDE_DEVICE_BUDGET
check "a value may be the next word" [ "$out" = 0:8G,1:50% ]

run "$ebbtide" run --host-budget=64G printenv EBBTIDE_HOST_BUDGET
check "a value may stand behind =" [ "$out" = 64G ]

run "$ebbtide" run --stats printenv EBBTIDE_STATS
check "a switch needs no word and means 1" [ "$out" = 1 ]

run "$ebbtide" run --stats 0 --verify 1 printenv EBBTIDE_STATS EBBTIDE_VERIFY
check "a switch takes 0 or 1, behind which the command may begin" [ "$out" = "0
1" ]

run env EBBTIDE_DISK=nonsense "$ebbtide" run --disk off printenv EBBTIDE_DISK
check "an option wins over its variable" [ "$out" = off ]

run "$ebbtide" run --disk maybe echo started
check "a bad value is refused with the accepted forms" \
    refused "--disk does not take 'maybe'; accepted: registered auto known always off"

run env EBBTIDE_HIGH=2 "$ebbtide" run echo started
check "a bad value in the environment is refused" refused "EBBTIDE_HIGH does not take '2'"

run env EBBTIDE_DEVICE_BUGDET=8G "$ebbtide" run echo started
check "an unknown variable is refused" refused "did you mean EBBTIDE_DEVICE_BUDGET?"

run "$ebbtide" run --low 0.9 echo started
check "water marks that cross are refused" refused "EBBTIDE_LOW is above EBBTIDE_HIGH"

run "$ebbtide" run --devise-budget 8G echo started
check "an unknown option is refused" refused "did you mean EBBTIDE_DEVICE_BUDGET?"

run "$ebbtide" run -x echo started
check "a short option is refused" refused "no option '-x'"

run "$ebbtide" run --trace /tmp/trace echo started
check "an option of a later version is refused" refused "not in this version"

run env EBBTIDE_TRACE=/tmp/trace "$ebbtide" run echo started
check "a variable of a later version is refused" refused "EBBTIDE_TRACE is not in this version"

run "$ebbtide" run --policy newest echo started
check "a policy that there is not is refused" refused "accepted: lru fifo size stage lookahead"

run env EBBTIDE_TEST_LONG=1 "$ebbtide" run echo started
check "the scripts' own variables are no options" [ "$out" = started ]

# shellcheck disable=SC2016
run env -C "$work/bin" "$ebbtide" run --log-file log --stats-json /a/b sh -c 'echo "$EBBTIDE_LOG_FILE $EBBTIDE_STATS_JSON"'
check "a relative path is from the folder of the command" [ "$out" = "$work/bin/log /a/b" ]

# shellcheck disable=SC2016
run env -C "$work/bin" EBBTIDE_STATS_JSON=stats "$ebbtide" run sh -c 'cd /; echo "$EBBTIDE_STATS_JSON"'
check "so is one that was set before" [ "$out" = "$work/bin/stats" ]

run "$ebbtide" run --disk
check "a missing value is refused" refused "--disk needs a value"

run "$ebbtide" run --disk auto
check "a missing command is refused" refused "no command to run"

run "$ebbtide" run "$work/nothing"
check "a command that is not there gives 127" [ "$status" = 127 ]

echo data >"$work/data"
run "$ebbtide" run "$work/data"
check "a command that cannot be run gives 126" [ "$status" = 126 ]

run "$ebbtide" run printenv LD_PRELOAD
check "the library beside the command is preloaded" [ "$out" = "$library" ]

run env LD_PRELOAD="$2" "$ebbtide" run printenv LD_PRELOAD
check "an LD_PRELOAD that is set stays behind ours" [ "$out" = "$library:$2" ]

ln -s "$ebbtide" "$work/alone/link"
run "$work/alone/link" run printenv LD_PRELOAD
check "a symbolic link to the command finds the same library" [ "$out" = "$library" ]

run "$work/blank dir/ebbtide" run echo started
check "a library whose path the loader would split is refused" refused "blank or a colon"

cp "$2" "$work/libebbtide.so"
run env -C "$work" LD_LIBRARY_PATH="$work" "$work/alone/ebbtide" run printenv LD_PRELOAD
case $out in
*/libebbtide.so) check "no library is taken from the current folder" [ "$out" != "$work/libebbtide.so" ] ;;
*) check "no library is taken from the current folder" refused "libebbtide.so is neither beside this command nor at /" ;;
esac

run "$ebbtide" run --help
check "run --help goes to standard output" printed 'usage: ebbtide run '

run "$ebbtide" --version
check "--version names the version and the range of CUDA" \
    printed 'ebbtide [0-9]*\.[0-9]*\.[0-9]*.CUDA drivers 11\.8 to 13\.0; runtimes 11, 12 and 13'

for later in report; do
    run "$ebbtide" "$later"
    check "$later is refused" refused "'$later' is not in this version"
done

run "$ebbtide" --help
case $out in
*report*) check "--help lists what there is" false ;;
*) check "--help lists what there is" printed 'usage: ebbtide run ' ;;
esac

run env EBBTIDE_LIVE_DIR="$work/pages" "$ebbtide" stats 1
check "stats of a process without a page is refused" refused "process 1 has no page"

run "$ebbtide" stats
check "stats without a process is refused" refused "stats wants one process or file"

run "$ebbtide" stats --help
check "stats --help goes to standard output" printed 'usage: ebbtide stats '

run "$ebbtide" wash
check "an unknown subcommand is refused" refused "no subcommand 'wash'"

run "$ebbtide"
check "no subcommand is refused" refused "no subcommand"

plan
