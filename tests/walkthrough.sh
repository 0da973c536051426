#!/bin/bash
# One user's day, against a fresh service started as the README says: a data set goes in, a job learns from it while the
# trainer and the server are killed, the new model is judged, put into service under load, and taken out again.
# Each step says what it expects; the first thing that is not so ends the script with 1. Needs curl, jq and tar; about 2 minutes.
# Usage: tests/walkthrough.sh [FOLDER OF COCO-MINI]     (with it, a slice of 48 photos is trained on instead of the six samples)
set -euo pipefail
cd "$(dirname "$0")/.."
coco=${1:-../shared/data/coco-mini}
. tests/lib.sh

start() { start_with dotnet run --project src/CaptionService.Api -c Release --no-launch-profile --; }
kill_server() { pkill -KILL -P "$server"; wait "$server" 2> /dev/null || true; server=; }

step 'A fresh service'
start

step 'A data set'
mkdir "$work/set"
if [ -d "$coco/images" ]; then slice_set "$coco" "$work/set" 48; else sample_set "$work/set"; fi
tar -czf "$work/set.tar.gz" -C "$work/set" .
dataset=$(api -F "archive=@$work/set.tar.gz" -F name=walkthrough -F language=en "$url/datasets" | jq -r .id)
until_true 90 'the data set is inspected and ready' is "/datasets/$dataset" .status ready
api "$url/datasets/$dataset" | jq -c '{photos, captions, trainPhotos, devPhotos}'
expect 'it has photos to learn from and photos to choose by' jq -e '.trainPhotos > 0 and .devPhotos > 0' <(api "$url/datasets/$dataset")

step 'A job, killed twice on its way'
body=$(jq -nc --arg dataset "$dataset" '{dataset: $dataset, preset: "quick", name: "walkthrough", seed: 7, options: {epochs: 16, patience: 16, batchPhotos: 4, checkpointSeconds: 1}}')
job=$(api --json "$body" -H 'Idempotency-Key: "walkthrough"' "$url/training-jobs" | jq -r .id)
expect 'the same request with the same key finds the same job' test "$(api --json "$body" -H 'Idempotency-Key: "walkthrough"' "$url/training-jobs" | jq -r .id)" = "$job"
has_checkpoint() { api "$url/training-jobs/$job/events?limit=500" | jq -e '[.events[] | select(.type == "checkpoint")] | length >= 1'; }
until_true 90 'a checkpoint is written' has_checkpoint
expect 'the trainer is killed' pkill -KILL -f "train $work/data/jobs/$job"
second() { [ "$(api "$url/training-jobs/$job" | jq -r .attempt)" -ge 2 ]; }
until_true 60 'a second attempt is made' second
kill_server
orphan() { pgrep -f "train $work/data/jobs/$job"; }
no_orphan() { ! orphan; }
until_true 30 'no trainer outlives its server' no_orphan
start
until_true 600 'the job succeeds' is "/training-jobs/$job" .state succeeded
api "$url/training-jobs/$job/events?limit=500" > "$work/events"
expect 'its events have no gap and no double' jq -e '[.events[].id] == [range(1; (.events | length) + 1)]' "$work/events"
expect 'each epoch showed the captions of the same photos' jq -e '[.events[] | select(.type == "epoch") | .data.samples | map(.photo)] | length > 0 and (unique | length == 1)' "$work/events"

step 'Judged'
evaluation=$(api --json "{\"models\": [\"walkthrough\", \"everyday-en\"], \"dataset\": \"$dataset\", \"split\": \"dev\"}" "$url/evaluations/compare" | jq -r .id)
until_true 60 'the comparison succeeds' is "/evaluations/$evaluation" .state succeeded
api "$url/evaluations/$evaluation" | jq -r '"  " + (.comparison.sentence // .comparison.message // (.comparison | tostring))'

step 'Into service under load, and out again'
(while [ ! -f "$work/stop" ]; do curl -sS -o /dev/null -w '%{http_code}\n' --data-binary @samples/cat.jpg "$url/captions?beamWidth=1&count=1" >> "$work/codes" || echo 000 >> "$work/codes"; done) &
load=$!
active() { api --data-binary @samples/cat.jpg "$url/captions" | jq -r '.models[0] | "\(.name)@\(.version)"'; }
expect 'the product'"'"'s model answers' test "$(active)" = everyday-en@1
api -X POST "$url/models/walkthrough/versions/1/activate" > /dev/null
expect 'the new model answers' test "$(active)" = walkthrough@1
api --data-binary @samples/cat.jpg "$url/captions" | jq -r '"  samples/cat.jpg: " + .results[0].captions[0].text'
api -X POST "$url/models/walkthrough/rollback" > /dev/null
expect 'after the rollback the product'"'"'s model answers' test "$(active)" = everyday-en@1
touch "$work/stop"; wait "$load"
expect "all $(wc -l < "$work/codes") requests meanwhile were answered with 200" bash -c "! grep -qv '^200$' '$work/codes'"

step 'SIGTERM'
pkill -TERM -P "$server"
wait "$server" && code=0 || code=$?
server=
expect 'the service ends with 0' test "$code" -eq 0
printf '\nwalkthrough: all as expected, %d s\n' "$SECONDS"
