# SPDX-License-Identifier: Apache-2.0
# programs: git
# packages: git
# seen: git
git -C "$SOURCE" rev-parse --git-dir >/dev/null 2>&1 || exit 77
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
git -c safe.directory='*' clone -q --bare --no-local "$SOURCE" copy.git 2>&1 || exit
cd copy.git
tip=$(git rev-parse HEAD)
git gc --quiet $([ "$LONG" ] && echo --aggressive) --prune=now 2>&1
git fsck --full --strict 2>&1 | sort
git count-objects -v | grep -E '^(count|in-pack|packs|garbage)'
git rev-list --objects "$tip" | cksum
git log --stat -n $([ "$LONG" ] && echo 1000 || echo 40) "$tip" | cksum
git archive "$tip" | cksum
git grep -c malloc "$tip" -- shim | cksum
git -c alias.open='!ls /proc/self/fd | wc -l' open
