# Sourced by the scripts of this folder: a folder and a port of their own, a service over them, and what is said about it.
work=$(mktemp -d -p /var/tmp "caption-$(basename "$0" .sh).XXXXXX")
server=
finish() {
  code=${1:-$?}
  [ -z "$server" ] || { pkill -KILL -P "$server" || true; kill -KILL "$server" 2> /dev/null || true; }
  pkill -KILL -f "train $work/data/jobs" || true
  if [ "$code" -ne 0 ]; then { echo "$(basename "$0" .sh): FAILED"; tail -n 20 "$work/server.log" || true; } >&2; fi
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT

step() { printf '\n[%3d s] %s\n' "$SECONDS" "$*"; }
expect() { local what=$1; shift; if "$@" > /dev/null; then echo "  as expected: $what"; else echo "  NOT SO: $what" >&2; exit 1; fi; }
until_true() { local seconds=$1 what=$2; shift 2; local end=$((SECONDS + seconds)); until "$@" > /dev/null 2>&1; do [ $SECONDS -lt $end ] || { echo "  NOT SO within $seconds s: $what" >&2; exit 1; }; sleep 0.2; done; echo "  as expected: $what"; }
api() { curl -sS --fail-with-body --max-time 60 "$@"; }
is() { [ "$(api "$url$1" | jq -r "$2")" = "$3" ]; }

free_port() { for p in $(seq "$1" "$2"); do (: <> "/dev/tcp/127.0.0.1/$p") 2> /dev/null || { echo "$p"; break; }; done; }
port=$(free_port 18200 18299)
url=http://127.0.0.1:$port
# Starts the service with the command that is given, and its address.
start_with() {
  Storage__Folder=$work/data "$@" --urls "$url" >> "$work/server.log" 2>&1 &
  server=$!
  until_true 300 'the service is ready' curl -sf "$url/health/ready"
}

# The samples with two captions each, as a token file, in a folder.
sample_set() {
  cp samples/*.jpg "$1/"
  while IFS='|' read -r name caption; do printf '%s.jpg#0\t%s\n' "$name" "$caption"; done > "$1/captions.token.txt" <<'CAPTIONS'
astronaut|A woman in an orange space suit smiles in front of a flag.
astronaut|An astronaut poses with her helmet.
cat|A ginger cat looks into the camera.
cat|The face of an orange cat with whiskers.
coffee|A cup of coffee stands on a wooden table.
coffee|A white cup of coffee with a spoon on a saucer.
flower|A pink flower grows among green leaves.
flower|The petals of a pink flower from close by.
rocket|A rocket rises from its launch pad with a trail of fire.
rocket|A white rocket takes off between towers.
temple|A Chinese temple with a red roof stands in the sun.
temple|People walk in front of an old temple.
CAPTIONS
  awk -F'\t' '{ split($1, part, "#"); printf "%s#%d\t%s\n", part[1], n[part[1]]++, $2 }' "$1/captions.token.txt" > "$work/numbered"
  mv "$work/numbered" "$1/captions.token.txt"
}
# The first photos of a folder with images/ and captions.en.token.txt, with their captions, in a folder.
slice_set() {
  awk -F'#' -v most="$3" '!seen[$1]++ { print $1; if (++n == most) exit }' "$1/captions.en.token.txt" > "$work/names"
  while read -r name; do cp "$1/images/$name" "$2/"; done < "$work/names"
  grep -F -f "$work/names" "$1/captions.en.token.txt" > "$2/captions.token.txt"
}
