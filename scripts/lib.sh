# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts beside it; source it first. Leaves the caller in the root of the tree.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
started_s=$SECONDS

# say TEXT...: a progress line, with the seconds since the start.
say() {
    printf '[%4ds] %s\n' $((SECONDS - started_s)) "$*"
}

# die TEXT...: what is wrong and what to do; ends the script.
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# quiet LOG COMMAND...: run a command whose output only matters when it fails.
quiet() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "'$*' failed; all of its output is in $log"
    fi
}

has_command() {
    command -v "$1" >/dev/null 2>&1
}

# has_header NAME: whether the C compiler finds it.
has_header() {
    echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1
}

# as_root COMMAND...: run as root, through sudo where need be.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# install_packages NAME...: from Debian's or Ubuntu's archive; the index is fetched only when it is too old for that.
install_packages() {
    has_command apt-get || die "no apt-get on this machine; install what Debian calls: $*"
    [ "$(id -u)" = 0 ] || has_command sudo || die "not root, and no sudo; have these packages installed: $*"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 install --no-install-recommends)
    say "installing $*"
    if ! as_root "${apt[@]}" "$@" >/dev/null 2>&1; then
        say "fetching the package index"
        quiet build/logs/apt-update.log as_root apt-get -o DPkg::Lock::Timeout=300 update
        quiet build/logs/apt-install.log as_root "${apt[@]}" "$@"
    fi
}

# configure FOLDER OPTION...: meson setup, or a change of options where the folder is set up already.
configure() {
    local folder=$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        quiet "build/logs/configure.log" meson setup --reconfigure "$folder" "$@"
    else
        quiet "build/logs/configure.log" meson setup "$folder" "$@"
    fi
}

# build_option NAME: the value of a meson option in build/.
build_option() {
    meson introspect build --buildoptions |
        python3 -c 'import json, sys; print(*(o["value"] for o in json.load(sys.stdin) if o["name"] == sys.argv[1]))' "$1"
}
