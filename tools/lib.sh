# shellcheck shell=bash
# Shared by the programs in tools/: progress, logs of what was run, messages. Sourced, never run.
#
#   steps 3                                  how many steps will follow
#   step "building" make -j2                 prints "[ 1/3] building ... 42 s"; output goes to a log file; if the
#                                            command fails: what failed, the log's last 25 lines, where the log is
#   step_done "building" "up to date"        a step with nothing to do: "[ 1/3] building ... up to date"
#   say TEXT / warn TEXT / die TEXT          to people; die ends the program with status 1
#
# After sourcing: $BULKHEAD_CACHE_DIR (exists), $LOG_DIR (exists, one per program). Colours only on a terminal.

BULKHEAD_CACHE_DIR=${BULKHEAD_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tcmu-bulkhead}
PROGRAM=${0##*/}
LOG_DIR=$BULKHEAD_CACHE_DIR/logs/$PROGRAM
mkdir -p "$LOG_DIR"

if [ -t 1 ]; then
  BOLD=$'\e[1m' RED=$'\e[31m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
  BOLD='' RED='' YELLOW='' PLAIN=''
fi

# shellcheck disable=SC2034  # for whoever sources this
LAST_LOG='' # of the step that ran last
STEP_TOTAL=0
STEP_NUMBER=0
STEP_TICKER=''

say() { printf '%s\n' "$*"; }
warn() { printf '%s%s: %s%s\n' "$YELLOW" "$PROGRAM" "$*" "$PLAIN" >&2; }
die() {
  printf '%s%s: %s%s\n' "$RED" "$PROGRAM" "$*" "$PLAIN" >&2
  exit 1
}

steps() {
  STEP_TOTAL=$1
  STEP_NUMBER=0
}

step_head() { printf '%s[%*d/%d]%s %s ... ' "$BOLD" "${#STEP_TOTAL}" "$STEP_NUMBER" "$STEP_TOTAL" "$PLAIN" "$1"; }

step_done() {
  STEP_NUMBER=$((STEP_NUMBER + 1))
  step_head "$1"
  printf '%s\n' "$2"
}

# Only a terminal gets a running count: in a file or a CI log it would be a thousand lines of noise.
ticker_start() {
  [ -t 1 ] || return 0
  local name=$1 began=$SECONDS
  (
    # Its own life is bounded by the parent's: a killed tool leaves no process printing into the terminal.
    while kill -0 "$$" 2>/dev/null; do
      printf '\r'
      step_head "$name"
      printf '%d s' $((SECONDS - began))
      sleep 1
    done
  ) &
  STEP_TICKER=$!
}

ticker_stop() {
  [ -n "$STEP_TICKER" ] || return 0
  kill "$STEP_TICKER" 2>/dev/null || true
  wait "$STEP_TICKER" 2>/dev/null || true
  STEP_TICKER=''
  printf '\r'
}
trap ticker_stop EXIT

step() {
  local name=$1 began=$SECONDS status=0 log
  shift
  STEP_NUMBER=$((STEP_NUMBER + 1))
  log=$LOG_DIR/$(printf '%02d-%s' "$STEP_NUMBER" "$(tr -cs 'A-Za-z0-9\n' '-' <<<"$name" | sed 's/-*$//')").log
  # shellcheck disable=SC2034
  LAST_LOG=$log
  [ -t 1 ] || step_head "$name"
  ticker_start "$name"
  # In the foreground, so that Ctrl-C reaches the command and not only this shell.
  "$@" >"$log" 2>&1 </dev/null || status=$?
  ticker_stop
  [ ! -t 1 ] || step_head "$name"
  if [ "$status" -eq 0 ]; then
    printf '%d s\n' $((SECONDS - began))
    return 0
  fi
  printf '%sFAILED%s after %d s\n' "$RED" "$PLAIN" $((SECONDS - began))
  {
    printf '%s%s: "%s" failed with status %d; the command was:%s\n  ' "$RED" "$PROGRAM" "$name" "$status" "$PLAIN"
    printf ' %q' "$@"
    printf '\n  the last lines of its output:\n'
    tail -n 25 "$log" | sed 's/^/    /'
    printf '  all of it: %s\n' "$log"
  } >&2
  return "$status"
}
