# SPDX-License-Identifier: Apache-2.0
# programs: redis-server redis-benchmark redis-cli
# packages: redis-server redis-tools
# seen: redis-server redis-benchmark
# long
redis-server --unixsocket "$PWD/socket" --port 0 --save '' --appendonly no --dir "$PWD" >server.log 2>&1 &
server=$!
trap 'kill $server 2>/dev/null' EXIT
ask() { redis-cli -s "$PWD/socket" "$@"; }
for _ in {1..300}; do [ "$(ask ping 2>/dev/null)" = PONG ] && break; sleep 0.1; done
open_before=$(ls /proc/$server/fd | wc -l)
redis-benchmark -s "$PWD/socket" -n 30000 -c 20 -d 512 -r 10000 -q \
  -t ping,set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset | tr '\r' '\n' | grep 'requests per second' | sed 's/: .*//'
for i in {1..2000}; do echo "set stable:$i value-$i-$((i * 7919))"; echo "rpush list:$((i % 10)) $i"; echo "zadd scores $i m$((i % 97))"; done | ask >/dev/null
for i in 1 500 2000; do ask get stable:$i; done
ask lrange list:3 0 -1 | cksum
ask zrange scores 0 -1 withscores | cksum
ask memory purge
ask bgsave >/dev/null
for _ in {1..300}; do ask info persistence | grep -q 'rdb_bgsave_in_progress:0' && break; sleep 0.1; done
ask info persistence | grep -E 'last_bgsave_status' | tr -d '\r'
ask flushall async
sleep 1
[ "$(ls /proc/$server/fd | wc -l)" = "$open_before" ] && echo 'no descriptor more than before'
ask shutdown nosave
wait $server; echo "server $?"
trap - EXIT
grep -ciE 'crash|bug report|assert' server.log
