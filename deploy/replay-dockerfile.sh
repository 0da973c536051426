#!/bin/bash
# Replays the Dockerfile without a container engine: its COPY, restore and publish lines in a copy of the tree, then its
# ENTRYPOINT as its USER with its ENV. As root the server gets what docker-compose.yml gives it as well: a read-only root
# with a fresh /tmp, no capabilities, no new privileges. The files of this folder are checked on the way.
# What is not replayed: the base images, and the RUN of the last stage. Takes a minute or two and 1.5 GB of disk.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
export PATH=$PATH:/usr/sbin:/sbin

passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)); echo "  passed: $*"; }
fail() { failed=$((failed + 1)); echo "  FAILED: $*"; }
skip() { skipped=$((skipped + 1)); echo "  skipped: $*"; }
check() { local what=$1; shift; if "$@"; then pass "$what"; else fail "$what"; fi; }
step() { printf '\n%s\n' "$*"; }

work=$(mktemp -d -p /var/tmp caption-service.XXXXXX) || exit 1     # not in /tmp: the server gets another one
server= proxy=
finish() {
  for pid in $server $proxy; do kill -KILL "$pid" 2> /dev/null; done
  rm -rf "$work"
  printf '\nreplay: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  if [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]; then exit 0; else exit 1; fi
}
trap finish EXIT
trap 'fail interrupted; exit' INT TERM
chmod 755 "$work"

# --- The build stage ---------------------------------------------------------------------------------------------------

# COPY: what git would give a fresh clone, so build outputs lying about do not take part.
copy() {
  local to="$work/src/${!#}" from files
  mkdir -p "$to"
  for from in "${@:1:$#-1}"; do
    mapfile -d '' files < <(git ls-files -z --cached --others --exclude-standard -- "$from")
    [ ${#files[@]} -gt 0 ] || { echo "COPY $from: no such file"; return 1; }
    if [ -d "$from" ]; then
      (cd "$from" && tar -c --null -T <(printf '%s\0' "${files[@]#"$from"/}")) | tar -x -C "$to" || return 1
    else
      cp -p "$from" "$to/" || return 1
    fi
  done
}

declare -a environment=() entrypoint=() health=()
stage=0 uid= gid= port=
build() {
  local word rest
  while read -r word rest; do
    case "$stage $word" in
      *' FROM') stage=$((stage + 1)) ;;
      '1 ARG') export "${rest?}" ;;
      '1 COPY') echo "COPY $rest"; copy $rest || return 1 ;;
      '1 RUN') echo "RUN $rest"; (cd "$work/src" && bash -euo pipefail -c "${rest// \/app/ $work/app}") || return 1 ;;
      '2 ENV') read -ra environment <<< "$rest" ;;
      '2 USER') IFS=: read -r uid gid <<< "$rest" ;;
      '2 EXPOSE') port=$rest ;;
      '2 HEALTHCHECK') IFS=', ' read -ra health <<< "$(sed 's/.*CMD *//; s/[]["]//g' <<< "$rest")" ;;
      '2 ENTRYPOINT') IFS=', ' read -ra entrypoint <<< "${rest//[][\"]/}" ;;
    esac
  done < <(sed '/^#/d' Dockerfile | sed -e ':a' -e '/\\$/N; s/\\\n */ /; ta')
}

step 'Dockerfile: restore and publish'
if build; then pass 'the build stage'; else fail 'the build stage'; exit; fi
cp deploy/healthcheck.sh "$work/app/"
du -sh "$work/app" | awk '{print "  published: " $1}'
check 'one folder holds both programs' test -f "$work/app/CaptionService.Api.dll" -a -f "$work/app/CaptionService.Trainer.dll"
check 'the HEALTHCHECK and the ENTRYPOINT are in it' test -x "$work/${health[0]}" -a -f "$work/app/${entrypoint[-1]}"

# What the image has to bring: the C and C++ runtime, and nothing else.
foreign=$(find "$work/app" -name '*.so*' -exec objdump -p {} + 2> /dev/null | awk '/NEEDED/ { print $2 }' | sort -u |
  grep -vE '^(libc|libm|libdl|librt|libpthread|libresolv|ld-linux-x86-64|libstdc\+\+|libgcc_s)\.so' |
  while read -r library; do [ -e "$work/app/$library" ] || echo "$library"; done)
if command -v objdump > /dev/null; then
  [ -z "$foreign" ] || echo "  needed as well: "$foreign
  check 'native libraries need glibc, libstdc++ and libgcc only' test -z "$foreign"
else
  skip 'native libraries: no objdump here'
fi

# --- The server, as the container would run it -------------------------------------------------------------------------

free_port() { local p; for p in $(seq "$1" $(($1 + 99))); do (: <> "/dev/tcp/127.0.0.1/$p") 2> /dev/null || { echo "$p"; return; }; done; }
listen=$(free_port 18080)
install -d "$work/data"        # the volume
[ "$(id -u)" -ne 0 ] || chown "$uid:$gid" "$work/data"
declare -a env=(env -i "PATH=$PATH" HOME=/home/app "${environment[@]/%=\/data/=$work/data}" "ASPNETCORE_HTTP_PORTS=$listen")
declare -a user=()
# The first key, as docker-compose.yml and the Kubernetes manifest bring it.
key=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
echo "$key" > "$work/first-key"
chmod 644 "$work/first-key"

# Runs a command as the container would, in place of the shell.
contained() {
  cd "$work/app" || exit 1
  if [ "$(id -u)" -eq 0 ] && unshare --mount true 2> /dev/null; then
    exec unshare --mount --propagation private bash -euo pipefail -c '
      mount -t tmpfs tmpfs /tmp
      mount --bind . .
      mount --bind ../data ../data
      mount -o remount,bind,ro "$PWD"
      mount -o remount,bind,ro /
      cd "$PWD"
      uid=$0 gid=$1; shift
      exec setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"
    ' "$uid" "$gid" "${env[@]}" "$@"
  elif [ "$(id -u)" -eq 0 ]; then
    exec setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all -- "${env[@]}" "$@"
  else
    exec "${env[@]}" "$@"
  fi
}
health() { "${env[@]}" "$work/${health[@]}"; }

step "The server: ${entrypoint[*]}, user $uid, port $port (here $listen)"
chmod -R a-w "$work/app"
check 'the Dockerfile exposes the port it listens on' grep -qx "ASPNETCORE_HTTP_PORTS=$port" <(printf '%s\n' "${environment[@]}")
health && fail 'the health check fails where nothing listens' || pass 'the health check fails where nothing listens'

(contained "${entrypoint[@]}") > "$work/refused" 2>&1
code=$?
check 'without a key it refuses to start, and says how to make one' test "$code" -eq 1 -a -n "$(grep -o 'keys create' "$work/refused")"
env+=("Auth__FirstKeyFile=$work/first-key")
started=$SECONDS
contained "${entrypoint[@]}" > "$work/log" 2>&1 &
server=$!
while ! health && kill -0 "$server" 2> /dev/null && [ $((SECONDS - started)) -lt 180 ]; do sleep 0.5; done
if ! health; then
  tail -20 "$work/log"
  fail 'the server becomes ready'
  exit
fi
pass "ready after $((SECONDS - started)) s"
status() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$server/status"; }
if [ "$(id -u)" -eq 0 ]; then
  check "runs as $uid without capabilities or new privileges" test "$(status Uid) $(status CapEff) $(status CapBnd) $(status NoNewPrivs)" = "$uid 0000000000000000 0000000000000000 1"
  if awk '$2 == "/" { options = $4 } END { exit options !~ /^ro(,|$)/ }' "/proc/$server/mounts"; then
    pass 'its root is read-only'
  else
    skip 'a read-only root: mount namespaces are not allowed here; the tree belongs to another user'
  fi
else
  skip 'another user and a read-only root: this is not root'
fi

request() { curl -sS -H "X-Api-Key: $key" -o "$work/answer" -w '%{http_code}' --max-time 120 "$@"; }
captions() {
  local url=$1 code
  code=$(request -H 'Content-Type: image/jpeg' --data-binary @samples/cat.jpg "$url/captions")
  [ "$code" = 200 ] || { echo "  $code $(head -c 500 "$work/answer")"; return 1; }
  echo "  samples/cat.jpg: $(grep -o '"text":"[^"]*"' "$work/answer" | head -1)"
  grep -q '"text":"[^"]' "$work/answer"
}
check 'a photo is captioned' captions "http://127.0.0.1:$listen"
check 'the page is there' test "$(request "http://127.0.0.1:$listen/")$(request "http://127.0.0.1:$listen/js/app.js")" = 200200
check 'a photo without a key is not' test "$(curl -sS -o /dev/null -w '%{http_code}' --data-binary @samples/cat.jpg "http://127.0.0.1:$listen/captions")" = 401
check 'the Swagger page is there' test "$(request "http://127.0.0.1:$listen/swagger/index.html")" = 200
echo "  memory: $(status VmRSS) kB"

(contained dotnet CaptionService.Trainer.dll) > "$work/trainer" 2>&1
code=$?
check 'the trainer starts in the same folder (without a job: exit 101)' test "$code" -eq 101

# --- nginx in front -----------------------------------------------------------------------------------------------------

step 'deploy/nginx.conf'
if command -v nginx > /dev/null; then
  front=$(free_port $((listen + 1)))
  sed -e "s/listen 80;/listen 127.0.0.1:$front;/" -e "s/127.0.0.1:8080/127.0.0.1:$listen/" deploy/nginx.conf > "$work/site.conf"
  cat > "$work/nginx.conf" << CONF
    daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
    events { }
    http { access_log off; client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/f;
           uwsgi_temp_path $work/u; scgi_temp_path $work/s; include $work/site.conf; }
CONF
  check 'nginx -t' nginx -t -q -e "$work/nginx.log" -c "$work/nginx.conf"
  nginx -e "$work/nginx.log" -c "$work/nginx.conf" &
  proxy=$!
  for _ in $(seq 50); do (: <> "/dev/tcp/127.0.0.1/$front") 2> /dev/null && break; sleep 0.1; done
  rm -r "$work/body" "$work/proxy"      # from here on a photo or an answer that nginx would write to disk is an error
  check 'a photo is captioned through nginx' captions "http://127.0.0.1:$front"

  truncate -s 19M "$work/large"; truncate -s 25M "$work/larger"
  code=$(request $(printf -- "-F photo=@$work/large %.0s" $(seq 16)) "http://127.0.0.1:$front/captions")
  check 'the largest form reaches the service, without nginx writing it to disk' test "$code $(grep -o '"code":"not_a_photo"' "$work/answer" | wc -l)" = '200 16'
  code=$(request --data-binary "@$work/larger" -H 'Content-Type: image/jpeg' "http://127.0.0.1:$front/captions")
  check 'a photo too large gets the service'\''s own answer' grep -q '^413 .*"code":"too_many_bytes"' <(echo "$code $(cat "$work/answer")")
  kill -QUIT "$proxy"; wait "$proxy"; proxy=
else
  skip 'nginx.conf: no nginx here'
fi

# --- The end of the server ----------------------------------------------------------------------------------------------

step 'SIGTERM'
kill -TERM "$server"
stopping=$SECONDS
(sleep 75; kill -KILL "$server") > /dev/null 2>&1 & watchdog=$!     # no pipe: its sleep would hold a reader up
wait "$server"; code=$?
kill "$watchdog" 2> /dev/null; server=
check "exit 0 (it was $code, after $((SECONDS - stopping)) s)" test "$code" -eq 0
grep -q '"@l":"\(Error\|Fatal\)"' "$work/log" && { grep '"@l":"\(Error\|Fatal\)"' "$work/log" | head -5; fail 'no error in the log'; } || pass 'no error in the log'

# --- Files that other programs read -------------------------------------------------------------------------------------

step 'docker-compose.yml, deploy/caption-service.service'
if docker compose version > /dev/null 2>&1; then
  check 'docker compose config' docker compose --profile gpu config -q
else
  skip 'docker compose config: the compose plugin is not installed (the tests parse the file)'
fi
if command -v systemd-analyze > /dev/null; then
  mkdir "$work/unit"
  sed -e "s|/opt/caption-service|$work/app|" -e "s|/usr/bin/dotnet|$(command -v dotnet)|" deploy/caption-service.service > "$work/unit/caption-service.service"
  systemd-analyze verify --man=no "$work/unit/caption-service.service" > "$work/unit/log" 2>&1; code=$?
  cat "$work/unit/log"
  check 'systemd-analyze verify' test "$code" -eq 0 -a ! -s "$work/unit/log"
else
  skip 'caption-service.service: no systemd-analyze here'
fi
