#!/bin/bash
# What takes too long for .ci/run: hostile photos by the ten thousand, safetensors headers by the million, drains, slow clients,
# kill -9 and SIGSTOP. Goes on after a failure and says at the end what failed. Needs curl, jq and, for the hostile files of
# others, Debian's gdk-pixbuf-tests, which it installs where it may; some hours on two cores.
# Usage: tests/nightly.sh [PART...]      (hostile, headers, drains, slow, faults; default: all)
set -uo pipefail
cd "$(dirname "$0")/.."
pixbufs=/usr/libexec/installed-tests/gdk-pixbuf
failed=()
part() {
  local name=$1; shift
  [[ " $parts " == *" $name "* ]] || return 0
  printf '\n=== %s (%d s): %s\n' "$name" "$SECONDS" "$*"
  "$@" || failed+=("$name")
}
parts=${*:-hostile headers drains slow faults}
if [[ " $parts " == *" hostile "* ]] && [ ! -d $pixbufs ] && [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gdk-pixbuf-tests > /dev/null
fi
[ -d $pixbufs ] || pixbufs=

dotnet build -c Release -v quiet -nologo || exit 1
benchmark() { dotnet tests/CaptionService.Benchmarks/bin/Release/net10.0/CaptionService.Benchmarks.dll "$@"; }
part hostile benchmark hostile 10000 $pixbufs
part headers env FUZZ_HEADERS=1000000 tests/CaptionService.Captioning.Tests/bin/Release/net10.0/CaptionService.Captioning.Tests -method '*A_mutated_header_is_the_named_error_or_what_a_second_reader_reads'
part drains benchmark drains 50
part slow benchmark slow 500
part faults tests/faults.sh 200 20
printf '\nnightly: %s, %d s\n' "$([ ${#failed[@]} -eq 0 ] && echo 'all passed' || echo "FAILED: ${failed[*]}")" "$SECONDS"
[ ${#failed[@]} -eq 0 ]
