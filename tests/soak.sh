#!/bin/bash
# Rounds of kill -9 against a fresh service: in each a job is trained while its trainer, the server, or both are killed at
# random moments, so that the start, the steps, checkpoints, the validation and the publishing are hit. Whatever was hit, the
# weights must be those of an unbroken run, the events without gap or double, the model there once, and nothing left running.
# The first thing that is not so ends the script with 1. Needs curl and jq; about a minute a round on one processor.
# Usage: tests/soak.sh [ROUNDS, 20] [SEED, 1]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-20} RANDOM=${2:-1}
. tests/lib.sh

dotnet build src/CaptionService.Api -c Release -v quiet -nologo
cp -a src/CaptionService.Api/bin/Release/net10.0 "$work/program"     # a build meanwhile is none of its business
start() { start_with env -C "$work/program" Training__Niceness=0 Datasets__Estimate=false dotnet CaptionService.Api.dll > /dev/null; }
trainers() { pgrep -f "CaptionService.Trainer.dll .*$work/data" || true; }
gone() { local pid; for pid in "$@"; do [ ! -d "/proc/$pid" ] || return 1; done; }
kill_trainers() { local pid; for pid in $(trainers); do kill -KILL "$pid" 2> /dev/null || true; done; }
kill_server() { kill -KILL "$server"; wait "$server" 2> /dev/null || true; server=; }

step 'A fresh service, a data set, and two jobs that nobody breaks'
start
mkdir "$work/set"
sample_set "$work/set"
tar -czf "$work/set.tar.gz" -C "$work/set" .
dataset=$(api -F "archive=@$work/set.tar.gz" -F name=soak "$url/datasets" | jq -r .id)
until_true 600 'the data set is ready' is "/datasets/$dataset" .status ready
# The precision is given: "auto" measures at the start of each job, and two jobs may come out differently.
# Every third job is compared with the model in service, a part of publishing that takes its time.
create() {
  jq -nc --arg dataset "$dataset" --argjson compare "$(($1 % 3 ? 0 : 1))" '{dataset: $dataset, preset: "best", name: "soak", seed: 7, activateIfBetter: ($compare == 1),
    options: {epochs: 40, patience: 40, hidden: 64, heads: 4, embedding: 32, batchPhotos: 2, minWordCount: 1, warmupSteps: 2, checkpointSeconds: 1, precision: "float32"}}' \
    | api --json @- "$url/training-jobs" | jq -r .id
}
ended() { [[ $(api "$url/training-jobs/$1" | jq -r .state) =~ ^(succeeded|failed|cancelled)$ ]]; }
weights() { sha256sum < "$work/data/jobs/$1/model/decoder.safetensors" | cut -d' ' -f1; }
events() { api "$url/training-jobs/$1/events?limit=1000" > "$work/events"; }
check() {
  expect 'the job succeeded' is "/training-jobs/$1" .state succeeded
  events "$1"
  expect 'its events have no gap and no double' jq -e '[.events[].id] == [range(1; (.events | length) + 1)]' "$work/events"
  expect 'each epoch was reported once, and one beginning and one end' jq -e '([.events[] | select(.type == "epoch") | .data.epoch] | length >= 40 and . == [range(1; length + 1)])
    and ([.events[] | select(.type == "started" or .type == "succeeded")] | length == 2)' "$work/events"
  expect 'the file of events has the same number of lines' test "$(wc -l < "$work/data/jobs/$1/events.jsonl")" = "$(jq '.events | length' "$work/events")"
  expect 'its model is there once' test "$(api "$url/models/soak" | jq --arg job "$1" '[.versions[] | select(.job == $job)] | length')" = 1
  expect 'nothing is left running' gone $(trainers)
  expect 'the weights are those of the first run' test "$(weights "$1")" = "${reference:=$(weights "$1")}"
}
for i in 1 3; do      # the second finds the photos encoded, as all others will
  began=$SECONDS
  whole=$(create $i)
  until_true 1800 'the job ended' ended "$whole"
  lasts=$((SECONDS - began))
  check "$whole"
done
echo "  $lasts s, decoder.safetensors $reference"

kinds=(child server both)
for round in $(seq "$rounds"); do
  job=$(create "$round")
  said=
  for _ in $(seq $((1 + RANDOM % 2))); do       # a third kill of the trainer alone could end a job rightly
    kind=${kinds[RANDOM % 3]}
    tenths=$((RANDOM % (lasts * 10 + 1)))
    sleep "$((tenths / 10)).$((tenths % 10))"
    said+="$kind in $(api "$url/training-jobs/$job" | jq -r '.state + " " + (.progress.stage // "" | tostring)'); "
    before=$(trainers)
    [ "$kind" = server ] || kill_trainers
    [ "$kind" = child ] || { kill_server; [ "$kind" = both ] && kill_trainers; [ "$kind" = both ] || until_true 300 'no trainer outlives its server' gone $before > /dev/null; start; }
  done
  until_true 1800 'the job ended' ended "$job" > /dev/null
  (check "$job") > "$work/checks" 2>&1 || { cat "$work/checks"; echo "round $round: $said"; api "$url/training-jobs/$job"; weights "$job"; exit 1; }
  printf '[%4d s] round %2d: %s%s attempts, %s events, weights as unbroken, nothing left running\n' "$SECONDS" "$round" "$said" "$(api "$url/training-jobs/$job" | jq -r .attempt)" "$(jq '.events | length' "$work/events")"
done
printf '\nsoak: %d rounds, all as expected, %d s\n' "$rounds" "$SECONDS"
