# SPDX-License-Identifier: Apache-2.0
# programs: nginx wrk curl
# packages: nginx-light wrk curl
# seen: nginx wrk
# long
nginx=$(command -v nginx || echo /usr/sbin/nginx)
port=18231
mkdir files; for i in {1..50}; do head -c $((i * 3001)) /dev/zero | tr '\0' "$(printf '\\%o' $((97 + i % 26)))" >files/$i; done
chmod 755 . files
cat >nginx.conf <<C
daemon off; worker_processes 2; pid $PWD/nginx.pid; error_log $PWD/error.log; user root;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path $PWD/body; proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/fcgi;
  uwsgi_temp_path $PWD/uwsgi; scgi_temp_path $PWD/scgi; gzip on; gzip_types *;
  server { listen 127.0.0.1:$port; root $PWD/files; location /again/ { proxy_pass http://127.0.0.1:$port/; } }
}
C
"$nginx" -p "$PWD" -c "$PWD/nginx.conf" >server.log 2>&1 &
server=$!
trap 'kill -QUIT $server 2>/dev/null' EXIT
at=http://127.0.0.1:$port
for _ in {1..300}; do curl -sf $at/1 >/dev/null && break; sleep 0.1; done
fetch() { for i in 1 2 10 37 50; do curl -s "$@" $at/$i; curl -s "$@" $at/again/$i; done | cksum; }
open() { sleep 2; for pid in $server $(cat /proc/$server/task/$server/children); do ls /proc/$pid/fd | wc -l; done | tr '\n' ' '; }
fetch --compressed; before=$(open)
for path in 1 50 again/20; do
  wrk -t 2 -c 16 -d 3 -H 'Accept-Encoding: gzip' $at/$path >wrk.log 2>&1; echo "wrk $?"
  grep -qE '^ *[0-9]{3,} requests in' wrk.log && echo 'answered'; grep -E 'Non-2xx|Socket errors' wrk.log
done
fetch; fetch --compressed
kill -HUP $server; fetch
# The workers are new ones; so are connections that they keep.
[ "$(open)" = "$before" ] && echo 'no descriptor more than before'
kill -QUIT $server; wait $server; echo "server $?"
trap - EXIT
grep -E 'alert|emerg|crit|signal 1?[16] ' error.log | sed 's/.*\[//'
