#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `ebbtide run`: what it starts, with which environment, and what it refuses. Output is TAP.
# usage: test_run.sh COMMAND LIBRARY
set -u

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/alone" "$work/blank dir"
cp "$1" "$work/bin/ebbtide" && cp "$1" "$work/alone/ebbtide" && cp "$1" "$work/blank dir/ebbtide" || exit 1
cp "$2" "$work/bin/libebbtide.so" && cp "$2" "$work/blank dir/libebbtide.so" || exit 1
library=$work/bin/libebbtide.so
for name in $(env | sed -n 's/^\(EBBTIDE_[A-Z_]*\)=.*/\1/p') LD_PRELOAD; do
    unset "$name"
done

count=0
# Runs "$@" and leaves its exit status, standard output and standard error in $status, $out and $err.
run() {
    out=$("$@" 2>"$work/err")
    status=$?
    err=$(cat "$work/err")
}

# ok NAME CONDITION...: one case; the condition is a command.
ok() {
    name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        printf '%s\n' "status $status" "stdout: $out" "stderr: $err" | sed 's/^/# /'
    fi
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
ok "the exit status is the command's" [ "$status" = 7 ]

# shellcheck disable=SC2016
run "$ebbtide" run --stats sh -c 'echo "$@"' name --disk -- --log=x
ok "options end at the first word that is none" [ "$out" = "--disk -- --log=x" ]

run "$ebbtide" run --disk auto -- printenv EBBTIDE_DISK
ok "options end at --" [ "$out" = auto ]

run "$ebbtide" run --device-budget 0:8G,1:50% printenv EBBTIDE_DEVICE_BUDGET
ok "a value may be the next word" [ "$out" = 0:8G,1:50% ]

run "$ebbtide" run --host-budget=64G printenv EBBTIDE_HOST_BUDGET
ok "a value may stand behind =" [ "$out" = 64G ]

run "$ebbtide" run --stats printenv EBBTIDE_STATS
ok "a switch needs no word and means 1" [ "$out" = 1 ]

run "$ebbtide" run --stats 0 --verify 1 printenv EBBTIDE_STATS EBBTIDE_VERIFY
ok "a switch takes 0 or 1, behind which the command may begin" [ "$out" = "0
1" ]

run env EBBTIDE_DISK=nonsense "$ebbtide" run --disk off printenv EBBTIDE_DISK
ok "an option wins over its variable" [ "$out" = off ]

run "$ebbtide" run --disk maybe echo started
ok "a bad value is refused with the accepted forms" \
    refused "--disk does not take 'maybe'; accepted: registered auto always off"

run env EBBTIDE_HIGH=2 "$ebbtide" run echo started
ok "a bad value in the environment is refused" refused "EBBTIDE_HIGH does not take '2'"

run env EBBTIDE_DEVICE_BUGDET=8G "$ebbtide" run echo started
ok "an unknown variable is refused" refused "did you mean EBBTIDE_DEVICE_BUDGET?"

run "$ebbtide" run --low 0.9 echo started
ok "water marks that cross are refused" refused "EBBTIDE_LOW is above EBBTIDE_HIGH"

run "$ebbtide" run --devise-budget 8G echo started
ok "an unknown option is refused" refused "did you mean EBBTIDE_DEVICE_BUDGET?"

run "$ebbtide" run -x echo started
ok "a short option is refused" refused "no option '-x'"

run "$ebbtide" run --trace /tmp/trace echo started
ok "an option of a later version is refused" refused "not in this version"

run env EBBTIDE_TRACE=/tmp/trace "$ebbtide" run echo started
ok "a variable of a later version is refused" refused "EBBTIDE_TRACE is not in this version"

run "$ebbtide" run --policy lookahead echo started
ok "a policy of a later version is refused" refused "accepted: lru fifo size stage"

run env EBBTIDE_TEST_LONG=1 "$ebbtide" run echo started
ok "the scripts' own variables are no options" [ "$out" = started ]

# shellcheck disable=SC2016
run env -C "$work/bin" "$ebbtide" run --log-file log --stats-json /a/b sh -c 'echo "$EBBTIDE_LOG_FILE $EBBTIDE_STATS_JSON"'
ok "a relative path is from the folder of the command" [ "$out" = "$work/bin/log /a/b" ]

# shellcheck disable=SC2016
run env -C "$work/bin" EBBTIDE_STATS_JSON=stats "$ebbtide" run sh -c 'cd /; echo "$EBBTIDE_STATS_JSON"'
ok "so is one that was set before" [ "$out" = "$work/bin/stats" ]

run "$ebbtide" run --disk
ok "a missing value is refused" refused "--disk needs a value"

run "$ebbtide" run --disk auto
ok "a missing command is refused" refused "no command to run"

run "$ebbtide" run "$work/nothing"
ok "a command that is not there gives 127" [ "$status" = 127 ]

echo data >"$work/data"
run "$ebbtide" run "$work/data"
ok "a command that cannot be run gives 126" [ "$status" = 126 ]

run "$ebbtide" run printenv LD_PRELOAD
ok "the library beside the command is preloaded" [ "$out" = "$library" ]

run env LD_PRELOAD="$2" "$ebbtide" run printenv LD_PRELOAD
ok "an LD_PRELOAD that is set stays behind ours" [ "$out" = "$library:$2" ]

ln -s "$ebbtide" "$work/alone/link"
run "$work/alone/link" run printenv LD_PRELOAD
ok "a symbolic link to the command finds the same library" [ "$out" = "$library" ]

run "$work/blank dir/ebbtide" run echo started
ok "a library whose path the loader would split is refused" refused "blank or a colon"

cp "$2" "$work/libebbtide.so"
run env -C "$work" LD_LIBRARY_PATH="$work" "$work/alone/ebbtide" run printenv LD_PRELOAD
case $out in
*/libebbtide.so) ok "no library is taken from the current folder" [ "$out" != "$work/libebbtide.so" ] ;;
*) ok "no library is taken from the current folder" refused "libebbtide.so is neither beside this command nor at /" ;;
esac

run "$ebbtide" run --help
ok "run --help goes to standard output" printed 'usage: ebbtide run '

run "$ebbtide" --version
ok "--version names the version and the range of CUDA" \
    printed 'ebbtide [0-9]*\.[0-9]*\.[0-9]*.CUDA drivers 11\.8 to 13\.0; runtimes 11, 12 and 13'

for later in top report stats; do
    run "$ebbtide" "$later"
    ok "$later is refused" refused "'$later' is not in this version"
done

run "$ebbtide" --help
case $out in
*top* | *report* | *stats*) ok "--help lists what there is" false ;;
*) ok "--help lists what there is" printed 'usage: ebbtide run ' ;;
esac

run "$ebbtide" wash
ok "an unknown subcommand is refused" refused "no subcommand 'wash'"

run "$ebbtide"
ok "no subcommand is refused" refused "no subcommand"

echo "1..$count"
