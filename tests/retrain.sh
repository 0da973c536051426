#!/bin/bash
# What retraining on photos of one's own brings, from the folder to the new caption: a fresh service takes in photos and a
# token file, reports on them, trains, compares, and captions the same eight photos with the model before and the new one.
# With a second data set, what the new model has forgotten: both models on photos that it was not trained on.
# Needs curl, jq and tar, and time as the preset does.
# Usage: tests/retrain.sh PHOTOS CAPTIONS [PRESET, quick] [OTHER_PHOTOS OTHER_CAPTIONS]       (folder, token file)
# LANGUAGE of the captions (BCP 47, default en) and MINUTES of training come from CAPTION_LANGUAGE and TRAINING_MINUTES.
set -euo pipefail
photos=$(realpath "$1") captions=$(realpath "$2") preset=${3:-quick}
other_photos=${4:+$(realpath "$4")} other_captions=${5:+$(realpath "$5")}
cd "$(dirname "$0")/.."
. tests/lib.sh

dotnet build src/CaptionService.Api -c Release -v quiet -nologo
start() { start_with env -C src/CaptionService.Api/bin/Release/net10.0 dotnet CaptionService.Api.dll; }
add_dataset() {
  tar -cf "$work/photos.tar" -C "$2" .
  api --max-time 3600 -F "archive=@$work/photos.tar" -F "captions=@$3" -F "name=$1" -F "language=${CAPTION_LANGUAGE:-en}" "$url/datasets" | jq -r .id
  rm "$work/photos.tar"
}
done_with() { [[ $(api "$url$1" | jq -r "$2") =~ ^($3)$ ]]; }
# Waits for an evaluation or a comparison.
evaluated() {
  local id
  id=$(jq -nc "$2" --args "${@:3}" | api --json @- "$url/$1" | jq -r .id)
  until_true 36000 'evaluated' done_with "/evaluations/$id" .state 'succeeded|failed' > /dev/null
  api "$url/evaluations/$id"
}
scores() {
  evaluated evaluations '{model: $ARGS.positional[0], dataset: $ARGS.positional[1], split: "dev"}' "$1" "$2" | jq -r --arg model "$1" '
    def percent: . * 1000 | round / 10; .result | "  \($model), \(.photos) photos: CIDEr \(.scores.cider | percent), BLEU-4 \(.scores.bleu4 | percent), ROUGE-L \(.scores.rougeL | percent)"'
}
compared() { evaluated evaluations/compare '{models: $ARGS.positional[:2], dataset: $ARGS.positional[2], split: "dev"}' "$@" | jq -r '"  " + .comparison.sentence'; }
caption() { api --data-binary "@$photos/$2" "$url/captions?count=1&model=$1" | jq -r '.results[0].captions[0].text'; }

step 'A fresh service'
start
before=$(api "$url/models" | jq -r '.models[0] | "\(.name)@\(.version)"')

step 'The data set'
dataset=$(add_dataset retrain "$photos" "$captions")
until_true 36000 'it is looked through' done_with "/datasets/$dataset" .status 'ready|refused'
api "$url/datasets/$dataset" | jq -r '"  \(.status)\(if .problem then " (\(.problem))" else "" end): \(.photos) photos, \(.captions) captions; \(.trainPhotos) to learn from, \(.devPhotos) to choose by", (.report.findings[]? | "  \(.severity): \(.message)")'
expect 'it is ready' is "/datasets/$dataset" .status ready

step "A job with the preset $preset"
job=$(jq -nc --arg dataset "$dataset" --arg preset "$preset" --argjson minutes "${TRAINING_MINUTES:-null}" '{dataset: $dataset, preset: $preset, name: "retrained", seed: 7, activateIfBetter: true, budget: {minutes: $minutes}}' \
  | api --json @- "$url/training-jobs" | jq -r .id)
# Server-sent events: each has its data as one line of JSON; the stream ends with the job.
curl -sSN -H 'Accept: text/event-stream' "$url/training-jobs/$job/events" | sed -un 's/^data: //p' | jq -r --unbuffered 'select(.type == "epoch") | .data
  | "  epoch \(.epoch): loss \(if .loss then .loss * 1000 | round / 1000 else "-" end), dev CIDEr \(.scores.cider * 1000 | round / 10)"'
until_true 60 'it succeeded' is "/training-jobs/$job" .state succeeded
after=$(api "$url/training-jobs/$job" | jq -r '"\(.model.name)@\(.model.version)"')
api "$url/training-jobs/$job" | jq -r '"  \(.times.running[11:19]) to \(.times.succeeded[11:19]): \(.decision)"'

step "Eight photos of the dev split: a person, $before, $after"
api "$url/training-jobs/$job/metrics" | jq -r '.epochs[-1].samples[].photo' | while read -r photo; do
  api "$url/datasets/$dataset/items?split=dev&limit=200" | jq -r --arg photo "$photo" '"  \($photo)\n    a person: \([.items[] | select(.photo == $photo)][0].captions[0] // "(beyond the first 200)")"'
  echo "    before:   $(caption "$before" "$photo")"
  echo "    after:    $(caption "$after" "$photo")"
done

step 'Scores on the dev split'
scores "$before" "$dataset"
scores "$after" "$dataset"
compared "$after" "$before" "$dataset"

if [ -n "$other_photos" ]; then
  step 'What it forgot: photos of another kind'
  other=$(add_dataset other "$other_photos" "$other_captions")
  until_true 36000 'they are looked through' done_with "/datasets/$other" .status 'ready|refused'
  scores "$before" "$other"
  scores "$after" "$other"
  compared "$after" "$before" "$other"
fi
printf '\nretrain: done, %d s\n' "$SECONDS"
