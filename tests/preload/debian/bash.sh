# SPDX-License-Identifier: Apache-2.0
# programs: bash sed grep awk
# packages: bash sed grep mawk autoconf gcc
# seen: bash sed grep
# What configure scripts are made of; with LONG one that autoconf makes.
if [ "$LONG" ]; then
  mkdir made
  {
    echo 'AC_INIT([made], [1])'
    echo 'AC_PROG_CC'
    for header in alloca arpa/inet fcntl inttypes libintl limits malloc netdb no_such_header stdint sys/epoll unistd; do
      echo "AC_CHECK_HEADERS([$header.h])"
    done
    echo 'AC_C_BIGENDIAN'
    for size in short int long 'void *' 'long double'; do echo "AC_CHECK_SIZEOF([$size])"; done
    echo 'AC_FUNC_MALLOC AC_FUNC_FORK AC_FUNC_MMAP'
    echo 'AC_CHECK_FUNCS([dup2 memfd_create no_such_function strdup])'
    echo 'AC_CONFIG_HEADERS([config.h]) AC_OUTPUT'
  } >made/configure.ac
  touch made/config.h.in
  (cd made && autoconf && bash configure && cksum config.h configure && grep -c ^ac_cv_ config.log)
fi
cat >configure <<'C'
cache=config.cache; : >$cache
check() {
  printf 'checking for %s... ' "$1"
  if printf '%s\n' "$2" >conftest.c && ${CC:-gcc} -E conftest.c >conftest.i 2>conftest.err; then
    echo yes; echo "have_$1=yes" >>$cache
  else
    echo no; sed 's/:.*//' conftest.err | sort -u | head -n 2; echo "have_$1=no" >>$cache
  fi
}
for header in stdio stdlib string unistd pthread dlfcn no_such_header; do check $header "#include <$header.h>"; done
declare -A words
for i in {1..3000}; do word=w$((i * 7919 % 1013)); words[$word]=$((${words[$word]:-0} + i)); done
for word in "${!words[@]}"; do echo "$word ${words[$word]}"; done | sort | awk '{ s += $2 } END { print NR, s }'
x=; for i in {1..2000}; do x+="$i,"; done; echo ${#x} "${x//1,/}" | cksum
for i in {1..40}; do y=$(echo "$i" | sed s/1/one/ | grep -v 2); printf '%s;' "$y"; done; echo
sed 's/^have_\(.*\)=\(.*\)$/#define HAVE_\U\1\E "\2"/' $cache >config.h; cat config.h
trap 'echo left' EXIT
ls /proc/$$/fd >open # a pipe would be seen
sort -n open | tr '\n' ' '
C
bash configure
