#!/usr/bin/env bash
# Whether initiators can tell how a LUN is served: the storm and the core of libiscsi's suite, with every combination of what is
# there for speed.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Each with each. In one boot: the storm over one LUN, whose pump is its own, and the suite.
SETTINGS=('' 'io_grants=off' 'busy_poll_usec=200' 'io_grants=off busy_poll_usec=200')
BACKINGS=(disk cached memory)
KERNELS=(6.1 6.12) # by turns, so that each setting and each backing meets both
AT_ONCE=2

usage() {
  cat <<USAGE
usage: test/guest/combinations.sh --install DIR --out DIR [--backing disk|cached|memory]... [--settings "KEY=VALUE ..."]...

  --install DIR   a tree of tools/install --with-test-handlers
  --out DIR       where results and logs go, a folder for each combination
  --backing B, --settings S   only these (default: all of them)

Prints a line for each combination as it ends, $AT_ONCE machines at a time; two take 10 to 20 minutes.
USAGE
}

INSTALL='' OUT='' backings=() settings=()
while [ $# -gt 0 ]; do
  case $1 in
    --install) INSTALL=${2:?--install needs a folder} && shift ;;
    --out) OUT=${2:?--out needs a folder} && shift ;;
    --backing) backings+=("${2:?--backing needs a word}") && shift ;;
    --settings) settings+=("${2?--settings needs words}") && shift ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
  shift
done
[ -n "$INSTALL" ] && [ -n "$OUT" ] || { usage >&2 && exit 2; }
[ ${#backings[@]} = 0 ] || BACKINGS=("${backings[@]}")
[ ${#settings[@]} = 0 ] || SETTINGS=("${settings[@]}")
mkdir -p "$OUT"

combine() { # combine NUMBER SETTINGS BACKING: prints what came of it, and fails if anything but success
  local name kernel=${KERNELS[$1 % ${#KERNELS[@]}]} verdict
  name=$3${2:+-${2//[^a-z0-9_]/-}}
  "$HERE/guest" run --kernel "$kernel" --patience 2 --install "$INSTALL" --out "$OUT/$name" \
    --set "SPEED_SETTINGS=$2" --set "SPEED_BACKING=$3" storm_alone conformance_core >"$OUT/$name.log" 2>&1 || true
  verdict=$(grep -oE '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$OUT/$name.log" | tail -n 1 || true)
  [ "$verdict" = '2 passed, 0 failed, 0 skipped' ] && verdict='' || verdict="FAILED: see $OUT/$name.log"
  printf '%-7s %-33s %-5s %s\n' "$3" "${2:-defaults}" "$kernel" "${verdict:-good}"
  [ -z "$verdict" ]
}

# Background jobs of a script don't hear Ctrl-C; the driver ends its machine when it is asked to.
end_machines() {
  local job
  for job in $(jobs -p); do pkill -TERM -P "$job" || true; done
}
trap end_machines EXIT
passed=0 failed=0 number=0
reap() { # one of those that run
  local status=0
  wait -n || status=$?
  if [ "$status" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
for set in "${SETTINGS[@]}"; do
  for backing in "${BACKINGS[@]}"; do
    [ "$number" -lt "$AT_ONCE" ] || reap
    combine "$number" "$set" "$backing" &
    number=$((number + 1))
  done
done
while [ $((passed + failed)) -lt "$number" ]; do reap; done
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" = 0 ]
