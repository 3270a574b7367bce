# shellcheck shell=bash
# Verified load on a disk while something happens to what serves it. Sourced after lib.sh.

# load_start NAME DISK [FIO-OPTION...]: random reads and writes in the background, every block read back and checked,
# until load_stop. It yields to all else that wants a processor: a guest has two, slow ones, and what the load would take of
# them what looks at it would wait for.
load_start() {
  local name=$1 disk=$2
  shift 2
  rm -f "/run/stop-$name"
  nice -n 19 fio --name="$name" --filename="$disk" --rw=randrw --bs=4k --size=24M --iodepth=8 --ioengine=libaio --direct=1 \
    --verify=crc32c --verify_backlog=64 --verify_fatal=1 --time_based --runtime=3600 --trigger-file="/run/stop-$name" \
    --output-format=json --output="/run/load-$name" "$@" >"$FILES/$name.txt" 2>&1 &
  printf '%s\n' "$!" >"/run/load-$name.pid"
}

# load_stop NAME: every error and every wrong byte since load_start fails the scenario.
load_stop() {
  local pid
  pid=$(cat "/run/load-$1.pid")
  touch "/run/stop-$1"
  wait_until 120 load_over "$1" || die "the load $1 does not end"
  wait "$pid" || die "the load $1 failed: $(cat "$FILES/$1.txt")"
  # fio puts a word about the trigger in front of its own JSON.
  sed -n '/^{/,$p' "/run/load-$1" >"$FILES/$1.json"
  expect_eq "$(jq '[.jobs[] | .error, .total_err] | add' "$FILES/$1.json")" 0 "errors of the load $1"
  jq -e '[.jobs[] | .read.total_ios, .write.total_ios] | add > 100' "$FILES/$1.json" >/dev/null ||
    die "the load $1 did next to nothing"
}
load_over() { ! kill -0 "$(cat "/run/load-$1.pid")" 2>/dev/null; }
load_running() { ! load_over "$1"; }

# disk_moves DISK: whether it has completed anything since the last call for it.
disk_moves() {
  local now before seen=$SCENARIO_DIR/moves-${1##*/}
  now=$(awk '{ print $1 + $5 }' "/sys/block/${1##*/}/stat")
  before=$(cat "$seen" 2>/dev/null || echo "$now")
  echo "$now" >"$seen"
  [ "$now" -gt "$before" ]
}

# load_flows NAME DISK: waits until commands are answered, from now on.
load_flows() {
  rm -f "$SCENARIO_DIR/moves-${2##*/}"
  wait_until 90 disk_moves "$2" || die "no command of $2 is answered"
  load_running "$1" || die "the load $1 ended early: $(cat "$FILES/$1.txt")"
}
