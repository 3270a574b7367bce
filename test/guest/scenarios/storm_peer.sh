#!/usr/bin/env bash
# The storm against tcmu-runner 1.5.4 (handler qcow, raw files), for comparison: only its daemon is killed, and started again at
# once, which its own unit would not do. Prints the same table; what the peer loses fails nothing here. STORM_SEED=N and
# STORM_SECONDS=N as for storm.
# run: by-name
# boot: own
# peer: tcmu-runner
# timeout: 1800
# expect-kernel: INFO: task .* blocked for more than -- commands wait for a daemon that is not there
# expect-kernel: Call Trace -- of such a task
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh

if [ "$PHASE" = over ]; then
  say "the machine was reset with whatever hung in it"
  exit 0
fi

# shellcheck disable=SC2034  # storm.sh's; fio would end at the first error
STORM_LUNS=(s0 s1 s2 s3 s4 s5 s6 s7) FIO_LUNS=()
# shellcheck disable=SC2034  # killer.sh's
STORM_PAUSE_MIN=5000 STORM_PAUSE_MAX=12000

peer_pid() { systemctl show --value --property=MainPID "$PEER"; }
peer_gone() { [ "$(peer_pid)" = 0 ]; }

act_peer_kill() {
  local pid
  pid=$(peer_pid)
  [ "$pid" != 0 ] || return 1
  kill -KILL "$pid" || return 1
  noted peer-kill "tcmu-runner, pid $pid"
  happens 30 peer_gone || return 1
  # A subshell: that it does not start is a result, not our failure.
  (start_peer_runner qcow) >>"$FILES/peer-starts.txt" 2>&1 || noted peer-start-failed tcmu-runner
}

start_peer_runner qcow
storm_make qcow
checked_start storm "${STORM_LUNS[*]}" --rate 40 --depth 8 --allow-errors --hang-seconds 90
bystanders_start calm --seconds 20 --allow-errors
wait_until 150 load_over calm
checked_end calm || say "tcmu-storm on the bystanders ends with $? before the storm"
bystanders_start beside --allow-errors --hang-seconds 90
storm_rage "${STORM_SECONDS:-90}" peer-kill
for load in beside storm; do
  checked_end "$load" || say "tcmu-storm $load ends with status $? (124: it can't be ended)"
done
storm_table | tee "$FILES/table.md"
for run in calm beside; do
  if [ -s "$FILES/$run.json" ]; then
    say "bystanders, $run: longest pause $(longest_of "$run") ms, errors $(jq '[.devices[].errors] | add' "$FILES/$run.json")"
    record "bystanders' longest pause, $run" "$(longest_of "$run")" ms
  else
    say "bystanders, $run: no report, they hang"
  fi
done
grep -h 'tcmu-storm: ' "$FILES"/{storm,beside}.txt | cut -c1-200 || true
sync
crash_into over
