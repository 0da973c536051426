#!/bin/bash
# kill -9 and SIGSTOP at random moments of training, publishing, uploading and deleting, against a fresh service.
# First KILLS times: data sets and models are uploaded and deleted, and jobs trained and published, all the time, while the
# server, its trainers, or both are killed. Then every answer that a client had must be true, no file or process be left over,
# every model caption, and every job's weights be those of an unbroken run. Then STOPS jobs: a trainer, a server with another
# beside it, or both, are stopped for longer than the lease and go on: nothing may be written twice or too late.
# The first thing that is not so ends the script with 1. Needs curl and jq; some ten seconds a kill, a minute a stop.
# Usage: tests/faults.sh [KILLS, 20] [STOPS, 3] [SEED, 1]      (PROGRAM: a folder with the service, already built)
set -euo pipefail
cd "$(dirname "$0")/.."
kills=${1:-20} stops=${2:-3} RANDOM=${3:-1}
. tests/lib.sh

program=${PROGRAM:-$work/program}
if [ -z "${PROGRAM:-}" ]; then
  dotnet build src/CaptionService.Api -c Release -v quiet -nologo
  cp -a src/CaptionService.Api/bin/Release/net10.0 "$program"     # a build meanwhile is none of its business
fi
lease=5
export Captioning__ModelFolder=$program/DefaultModels/everyday-en Training__Niceness=0 Training__Lease=00:00:0$lease Datasets__Estimate=false Captioning__EncoderPrecision=float32
start() { start_with env -C "$program" dotnet CaptionService.Api.dll > /dev/null; }
trainers() { pgrep -f "CaptionService.Trainer.dll .*$work/data" || true; }
gone() { local pid; for pid in "$@"; do [ ! -d "/proc/$pid" ] || return 1; done; }
signal() { local pid; for pid in "${@:2}"; do kill "-$1" "$pid" 2> /dev/null || true; done; }
kill_server() { signal KILL "$server"; wait "$server" 2> /dev/null || true; server=; }
pause() { local tenths=$((RANDOM % ($1 * 10 + 1))); sleep "$((tenths / 10)).$((tenths % 10))"; }

# The precision is given: "auto" measures at the start of each job, and two jobs may come out differently.
# Every third job is compared with the model in service, a part of publishing that takes its time.
create() {
  jq -nc --arg dataset "$dataset" --arg name "$1" --argjson compare "$(($2 % 3 ? 0 : 1))" '{dataset: $dataset, preset: "best", name: $name, seed: 7, activateIfBetter: ($compare == 1),
    options: {epochs: 20, patience: 20, hidden: 64, heads: 4, embedding: 32, batchPhotos: 2, minWordCount: 1, warmupSteps: 2, checkpointSeconds: 1, precision: "float32"}}' \
    | api --json @- -H "Idempotency-Key: \"$1-$2\"" "$url/training-jobs" | jq -er .id
}
ended() { [[ $(api "$url/training-jobs/$1" | jq -r .state) =~ ^(succeeded|failed|cancelled)$ ]]; }
weights() { sha256sum < "$work/data/jobs/$1/model/decoder.safetensors" | cut -d' ' -f1; }
check_job() {
  expect "job $1 succeeded" is "/training-jobs/$1" .state succeeded
  api "$url/training-jobs/$1/events?limit=1000" > "$work/events"
  expect 'its events have no gap and no double' jq -e '[.events[].id] == [range(1; (.events | length) + 1)]' "$work/events"
  expect 'each epoch was reported once, and one beginning and one end' jq -e '([.events[] | select(.type == "epoch") | .data.epoch] | length >= 20 and . == [range(1; length + 1)])
    and ([.events[] | select(.type == "started" or .type == "succeeded")] | length == 2)' "$work/events"
  expect 'the file of events has the same number of lines' test "$(wc -l < "$work/data/jobs/$1/events.jsonl")" = "$(jq '.events | length' "$work/events")"
  expect 'its model is there once' test "$(api "$url/models" | jq --arg job "$1" '[.models[].versions[] | select(.job == $job)] | length')" = 1
  expect 'the weights are those of the first run' test "$(weights "$1")" = "${reference:=$(weights "$1")}"
}

step 'A fresh service, a data set, and two jobs that nobody breaks'
start
mkdir "$work/set"
sample_set "$work/set"
find "$work/set" -name '*.jpg' | while read -r photo; do grep -q "^$(basename "$photo")#" "$work/set/captions.token.txt" || rm "$photo"; done
photos=$(find "$work/set" -name '*.jpg' | wc -l)
tar -czf "$work/set.tar.gz" -C "$work/set" .
dataset=$(api -F "archive=@$work/set.tar.gz" -F name=first "$url/datasets" | jq -r .id)
until_true 600 'the data set is ready' is "/datasets/$dataset" .status ready
for name in trained uploaded; do      # the second finds the photos encoded, as all others will
  began=$SECONDS
  job=$(create $name 0)
  until_true 1800 'the job ended' ended "$job"
  lasts=$((SECONDS - began))
  check_job "$job"
done
api -o "$work/bundle.zip" "$url/models/uploaded/versions/1/download"
echo "  $lasts s, decoder.safetensors $reference"

# What clients do until they are told to stop. What they were answered goes into files: what is there, what is deleted, and what
# they asked to delete without an answer. Of eight that are sent seven are deleted again.
quiet() { "$@" 2> /dev/null; }
stopped() { [ -f "$work/stop" ]; }
keep() {
  echo "$2" >> "$work/$1.there"
  (($3 % 8)) || return 0
  echo "$2" >> "$work/$1.$(quiet api -X DELETE "$4" > /dev/null && echo gone || echo unsure)"
}
send_datasets() {
  local n id
  for ((n = 1; ; n++)); do
    ! stopped || return 0
    id=$(quiet api -F "archive=@$work/set.tar.gz" -F "name=sent-$n" "$url/datasets" | jq -er .id) && keep datasets "$id" "$n" "$url/datasets/$id"
    sleep 4
  done
}
send_models() {
  local n version
  for ((n = 1; ; n++)); do
    ! stopped || return 0
    version=$(quiet api --data-binary "@$work/bundle.zip" -H 'Content-Type: application/zip' "$url/models" | jq -er .version) && keep models "$version" "$n" "$url/models/uploaded/versions/$version"
    sleep 4
  done
}
train() {
  local n id
  for ((n = 1; ; n++)); do
    until id=$(quiet create trained "$n"); do ! stopped || return 0; sleep 0.5; done      # the same key: the same job
    echo "$id" >> "$work/jobs.there"
    until quiet ended "$id"; do ! stopped || return 0; sleep 0.5; done
  done
}
touch "$work"/{datasets,models,jobs}.{there,gone,unsure}
clients=()
for client in send_datasets send_models train; do (set +e; $client) & clients+=($!); done
leave() { local code=$?; touch "$work/stop"; wait "${clients[@]}" 2> /dev/null || true; finish $code; }
trap leave EXIT

kinds=(server server both child)
declare -A childs=()
for ((kill = 1; kill <= kills; kill++)); do
  pause 8
  kind=${kinds[RANDOM % 4]} job=$(tail -n 1 "$work/jobs.there")
  # A third crash without a checkpoint ends a job rightly; a server's death is no crash of its trainer.
  [ "$kind" != child ] || { childs[${job:-none}]=$((${childs[${job:-none}]:-0} + 1)); [ "${childs[${job:-none}]}" -le 2 ] || kind=server; }
  before=$(trainers)
  [ "$kind" = server ] || signal KILL $before
  [ "$kind" = child ] || kill_server
  [ "$kind" != both ] || signal KILL $(trainers)
  [ "$kind" = child ] || {
    until_true 300 'no trainer outlives its server' gone $before > /dev/null
    # One start in four is itself killed at some moment.
    if ((RANDOM % 4)); then start; else
      Storage__Folder=$work/data env -C "$program" dotnet CaptionService.Api.dll --urls "$url" >> "$work/server.log" 2>&1 & server=$!
      pause 5; kill_server; kill=$((kill + 1)); start
    fi
  }
  ((kill % 10)) || printf '[%4d s] %d kills: %d data sets, %d models, %d jobs accepted\n' "$SECONDS" "$kill" $(wc -l < "$work/datasets.there") $(wc -l < "$work/models.there") $(wc -l < "$work/jobs.there")
done
touch "$work/stop"
wait "${clients[@]}" || true

step "After $((kill - 1)) kills"
no_run() { [ "$(api "$url/training-jobs?limit=200" | jq '[.jobs[] | select(.state | IN("succeeded", "failed", "cancelled") | not)] | length')" = 0 ]; }
until_true 1800 'all jobs ended' no_run
while read -r job; do check_job "$job"; done < "$work/jobs.there" > "$work/checks" || { tail -n 3 "$work/checks"; exit 1; }
expect "$(wc -l < "$work/jobs.there") jobs succeeded, each with its events and its model once, and the weights of the unbroken run" true
settled() { [ "$(api "$url/datasets?limit=200" | jq '[.datasets[] | select(.status == "checking")] | length')" = 0 ]; }
until_true 600 'all data sets are looked through' settled
left() { sort "$work/$1.there" | comm -23 - <(sort "$work/$1.gone" "$work/$1.unsure"); }      # never asked to be deleted
for id in $(left datasets); do api "$url/datasets/$id" | jq -e --argjson photos "$photos" '.status == "ready" and .photos == $photos' > /dev/null || { echo "  NOT SO: data set $id is whole"; api "$url/datasets/$id"; exit 1; }; done
for id in $(cat "$work/datasets.gone"); do expect "data set $id is gone" test "$(curl -s -o /dev/null -w '%{http_code}' "$url/datasets/$id")" = 404; done > /dev/null
expect "$(left datasets | wc -l) data sets are whole, $(wc -l < "$work/datasets.gone") stay deleted" true
versions() { api "$url/models/$1" | jq -r '.versions[].version' | sort; }
expect "$(left models | wc -l) uploaded models are there" test -z "$(left models | comm -23 - <(versions uploaded))"
expect "$(wc -l < "$work/models.gone") stay deleted" test -z "$(sort "$work/models.gone" | comm -12 - <(versions uploaded))"
models=0
for name in trained uploaded; do
  for version in $(versions $name); do
    api --data-binary @samples/cat.jpg "$url/captions?count=1&model=$name@$version" | jq -e '.results[0].captions[0].text' > /dev/null || { echo "  NOT SO: $name@$version captions"; exit 1; }
    models=$((models + 1))
  done
done
expect "all $models models load and caption" true
same() { diff <(ls "$work/data/$1" | sort) <(cat | sort) > "$work/diff" || { echo "  NOT SO: data/$1 holds what the service knows"; cat "$work/diff"; exit 1; }; }
api "$url/datasets?limit=200" | jq -r '.datasets[].id' | same datasets
api "$url/training-jobs?limit=200" | jq -r '.jobs[].id' | same jobs
for name in trained uploaded; do versions $name | same "models/$name"; done
expect 'no folder is left over' test -z "$(ls "$work/data/tmp")"
expect 'no half-written file is left over' test -z "$(find "$work/data" -name '*.tmp' -o -name '*.old' -o -name '*.unsettled')"
expect 'nothing is left running' gone $(trainers)

[ "$stops" -eq 0 ] || step "$stops jobs, stopped for longer than the lease of $lease s"
beside() {
  Storage__Folder=$work/data env -C "$program" dotnet CaptionService.Api.dll --urls "${url%:*}:$((port + 100))" >> "$work/beside.log" 2>&1 & other=$!
  until_true 300 'another server is ready beside it' curl -sf "${url%:*}:$((port + 100))/health/ready" > /dev/null
}
attempt() { api "$url/training-jobs/$1" | jq -r .attempt; }
running() { [ -n "$(trainers)" ]; }
kinds=(both trainer server)
for ((stopped = 1; stopped <= stops; stopped++)); do
  kind=${kinds[stopped % 3]}
  [ "$kind" != server ] || beside
  job=$(create trained $((10000 + stopped)))
  until_true 60 'it trains' running > /dev/null
  pause $((lasts / 2 + 1))
  made=$(attempt "$job") workers=$(trainers)
  case $kind in
    trainer) signal STOP $workers; sleep $((lease + 3)); signal CONT $workers ;;
    server)
       signal STOP "$server"; sleep $((lease + 3))
       expect 'no other server takes the job' test "$(curl -s "${url%:*}:$((port + 100))/training-jobs/$job" | jq -r .attempt)" = "$made" > /dev/null
       signal CONT "$server"
       ;;
    both)       # the server is then killed: the next one's attempt waits until the stopped trainer is gone
       signal STOP "$server" $workers; sleep $((lease + 3)); kill_server; start; sleep 3; signal CONT $workers ;;
  esac
  until_true 1800 'the job ended' ended "$job" > /dev/null
  (check_job "$job") > "$work/checks" 2>&1 || { cat "$work/checks"; exit 1; }
  expect 'no trainer is left' gone $(trainers) > /dev/null
  [ "$kind" != server ] || { signal TERM "$other"; wait "$other" || true; }
  printf '[%4d s] stopped %d: %s; %s attempts, weights as unbroken, no event twice\n' "$SECONDS" "$stopped" "$kind" "$(attempt "$job")"
done
printf '\nfaults: %d kills and %d stops, all as expected, %d s\n' "$((kill - 1))" "$stops" "$SECONDS"
