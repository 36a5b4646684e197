# SPDX-License-Identifier: Apache-2.0
# programs: setpriv
# packages: postgresql postgresql-contrib util-linux
# seen: postgres pgbench psql
# long
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
[ -x "$bin/postgres" ] || exit 77
PATH=$bin:$PATH
chmod 777 .
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi; }
as initdb -D data -U ebb --no-locale -E UTF8 >initdb.log 2>&1; echo "initdb $?"
as postgres -D data -c listen_addresses= -c unix_socket_directories="$PWD" -c fsync=off -c jit=off >server.log 2>&1 &
server=$!
trap 'kill -INT $server 2>/dev/null' EXIT
export PGHOST=$PWD PGUSER=ebb PGDATABASE=postgres
for _ in {1..300}; do psql -qAtc 'select 1' >/dev/null 2>&1 && break; sleep 0.1; done
pid=$(head -n 1 data/postmaster.pid)
open_before=$(ls /proc/$pid/fd | wc -l)
pgbench -q -i -s 5 >/dev/null 2>&1; echo "init $?"
pgbench -c 4 -j 2 -t 2000 2>/dev/null | grep -E 'processed|failed'
pgbench -S -c 4 -j 2 -t 5000 -M prepared 2>/dev/null | grep -E 'processed|failed'
psql -qAt <<'S'
select count(*) from pgbench_history;
select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history);
create table sample as select i, md5(i::text) as word, repeat('x', i % 500) as body from generate_series(1, 200000) i;
create index on sample(word);
vacuum analyze sample;
select count(*), sum(length(body)), min(word), max(word) from sample;
set work_mem = '64MB';
select md5(string_agg(word, '' order by word)) from sample;
select left(word, 1) as first, count(*), md5(string_agg(i::text, ',' order by i)) from sample group by 1 order by 1;
set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set parallel_tuple_cost = 0;
select count(*), sum(length(a.body || b.body)) from sample a join sample b on a.i = b.i + 1;
S
[ "$(ls /proc/$pid/fd | wc -l)" -le "$open_before" ] && echo 'no descriptor more than before'
kill -INT $pid; wait $server; echo "server $?"
trap - EXIT
grep -cE 'PANIC|terminated by signal|server process .* was' server.log
