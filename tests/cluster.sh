#!/bin/bash
# Three servers that share a PostgreSQL database and a folder, behind HAProxy and then nginx as deploy/ has them, under load all the
# time: models are swapped, servers killed, servers restarted one after the other. No request may fail, and after each swap every
# server answers with the new version. Needs a build (dotnet build -c Release), PostgreSQL, haproxy, nginx, curl, jq.
# Usage: tests/cluster.sh [SWAPS [KILLS [ROLLING RESTARTS]]]      (10, 3 and 1; about 3 minutes on two cores)
set -euo pipefail
cd "$(dirname "$0")/.."
swaps=${1:-10} kills=${2:-3} rollings=${3:-1}
. tests/lib.sh
PATH=$PATH:/usr/sbin:$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | tail -1)
for tool in initdb haproxy nginx; do command -v $tool > /dev/null || { echo "cluster.sh: skipped, there is no $tool"; exit 0; }; done

db_port=$(free_port 18500 18599) proxy_port=$(free_port 18600 18699) nginx_port=$(free_port 18700 18799)
declare -a pids=() ports=()
others=()
stop_all() {
  touch "$work/stop"
  for pid in "${pids[@]}" "${others[@]}"; do kill -KILL "$pid" 2> /dev/null || true; done
  [ ! -f "$work/postgres/postmaster.pid" ] || kill -QUIT "$(head -1 "$work/postgres/postmaster.pid")" || true
  [ ! -f "$work/nginx.pid" ] || kill "$(cat "$work/nginx.pid")" || true
}
trap 'code=$?; stop_all; (exit $code); finish' EXIT

step 'PostgreSQL'
as_postgres() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
mkdir "$work/postgres" && chmod 755 "$work"
[ "$(id -u)" -ne 0 ] || chown postgres "$work/postgres"
(cd / && as_postgres initdb -D "$work/postgres" -U test -A trust --no-sync -E UTF8 --locale=C > /dev/null)
start_postgres() {
  (cd / && as_postgres "$(command -v postgres)" -D "$work/postgres" -p "$db_port" -k "$work/postgres" -c listen_addresses=127.0.0.1 -c fsync=off) >> "$work/postgres.log" 2>&1 &
  until_true 30 'the database answers' bash -c ": <> /dev/tcp/127.0.0.1/$db_port"
}
start_postgres

export Storage__Folder=$work/data Storage__Database=postgres ConnectionStrings__Postgres="Host=127.0.0.1;Port=$db_port;Username=test;Database=captions"
export Captioning__ModelFolder=$PWD/src/CaptionService.Captioning/DefaultModels/everyday-en Forwarded__Proxies__0=127.0.0.1
program=$PWD/src/CaptionService.Api/bin/Release/net10.0/CaptionService.Api.dll
launch() { dotnet "$program" --urls "http://127.0.0.1:${ports[$1]}" >> "$work/server.log" 2>&1 & pids[$1]=$!; }
ready() { kill -0 "${pids[$1]}" && curl -sf "http://127.0.0.1:${ports[$1]}/health/ready"; }

step 'Three servers'
for i in 0 1 2; do ports[$i]=$(free_port $((18300 + 50 * i)) $((18349 + 50 * i))); launch $i; done
for i in 0 1 2; do until_true 300 "server $i is ready" ready $i; done

step 'HAProxy and nginx, as deploy/ has them'
sed -e "s/127.0.0.1:8000/127.0.0.1:$proxy_port/" -e "s/127.0.0.1:8080/127.0.0.1:${ports[0]}/" -e "s/127.0.0.1:8081/127.0.0.1:${ports[1]}/" -e "s/127.0.0.1:8082/127.0.0.1:${ports[2]}/" deploy/haproxy.cfg > "$work/haproxy.cfg"
haproxy -db -f "$work/haproxy.cfg" > "$work/haproxy.log" 2>&1 & others+=($!)
{
  echo "pid $work/nginx.pid; error_log $work/nginx.log; events {} http { access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;"
  sed -e "s/listen 80;/listen 127.0.0.1:$nginx_port;/" -e "s/127.0.0.1:8080/127.0.0.1:${ports[0]}/" -e "s/127.0.0.1:8081/127.0.0.1:${ports[1]}/" -e "s/127.0.0.1:8082/127.0.0.1:${ports[2]}/" deploy/nginx-replicas.conf
  echo '}'
} > "$work/nginx.conf"
nginx -c "$work/nginx.conf" 2> "$work/nginx.log"
url=http://127.0.0.1:$proxy_port
until_true 60 'HAProxy finds a server' curl -sf "$url/health/ready"

# Two callers, one photo after another; each line: the time, the status, who answered.
caller() {
  while [ ! -f "$work/stop" ]; do
    answer=$(curl -sS --max-time 60 -w '\n%{http_code}' --data-binary @samples/224/cat.png -H 'Content-Type: image/png' "$1/captions?beamWidth=1&count=1" 2> /dev/null) || answer=$'\n000'
    printf '%s %s %s\n' "$SECONDS" "${answer##*$'\n'}" "$(jq -r '.models[0] | "\(.name)@\(.version)"' <<< "${answer%$'\n'*}" 2> /dev/null)" >> "$work/answers.$2"
  done
}
load() { rm -f "$work/stop" "$work"/answers.*; caller "$1" 1 & a=$!; caller "$1" 2 & b=$!; }
judge() {
  touch "$work/stop"; wait $a $b
  cat "$work"/answers.* | awk '{ n++; status[$2]++ } END { printf "  %d requests:", n; for (s in status) printf " %d × %s", status[s], s; print "" }'
  expect 'no request failed' test "$(cat "$work"/answers.* | awk '$2 != 200' | wc -l)" -eq 0
  expect 'there were requests' test "$(cat "$work"/answers.* | wc -l)" -ge 5
}
made_by() { api --data-binary @samples/224/cat.png -H 'Content-Type: image/png' "http://127.0.0.1:${ports[$1]}/captions?count=1" | jq -r '.models[0] | "\(.name)@\(.version)"'; }

step "$swaps swaps under load"
api "$url/models/everyday-en/versions/1/download" > "$work/model.zip"
second=$(api --data-binary "@$work/model.zip" -H 'Content-Type: application/zip' "$url/models" | jq -r .version)
load "$url"
slowest=0
for swap in $(seq "$swaps"); do
  version=$((swap % 2 == 1 ? second : 1))
  start=$(date +%s%N)
  expect "swap $swap is at all servers when its answer comes" jq -e '.active and .notYetAt == []' <(api -X POST "$url/models/everyday-en/versions/$version/activate")
  took=$((($(date +%s%N) - start) / 1000000)); [ $took -le $slowest ] || slowest=$took
  for i in 0 1 2; do [ "$(made_by $i)" = "everyday-en@$version" ] || { echo "  NOT SO: server $i answers with everyday-en@$version"; exit 1; }; done
done
echo "  the slowest swap took $slowest ms"
judge

step 'The database away for 12 s, and back'
load "$url"
kill -INT "$(head -1 "$work/postgres/postmaster.pid")"
sleep 12
for i in 0 1 2; do expect "server $i captions" made_by $i; done
expect 'a change is refused' test "$(curl -s -o /dev/null -w '%{http_code}' -X POST "$url/models/everyday-en/versions/1/activate")" = 503
start_postgres
swapped() { jq -e '.active and .notYetAt == []' <(curl -sf -X POST "$url/models/everyday-en/versions/1/activate"); }
until_true 30 'a swap is at all servers again' swapped
judge

step "$kills servers killed under load"
load "$url"
for kill in $(seq "$kills"); do
  i=$((kill % 3))
  kill -KILL "${pids[$i]}"; wait "${pids[$i]}" 2> /dev/null || true
  sleep 1
  launch $i
  until_true 300 "server $i, killed, is back" ready $i
done
judge

roll() {
  for i in 0 1 2; do
    kill -TERM "${pids[$i]}"
    expect "server $i ends by itself" wait "${pids[$i]}"
    launch $i
    until_true 300 "server $i is back" ready $i
  done
}
step "$rollings rolling restarts under load"
load "$url"
for _ in $(seq "$rollings"); do roll; done
judge

step 'A server killed and all restarted, behind nginx'
load "http://127.0.0.1:$nginx_port"
kill -KILL "${pids[0]}"; wait "${pids[0]}" 2> /dev/null || true
sleep 1
launch 0
until_true 300 'server 0, killed, is back' ready 0
roll
judge
step 'done'
