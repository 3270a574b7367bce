#!/usr/bin/env bash
# Every form in which a host dies, once, under load that is checked block by block: by signals, with its control group, out of
# memory, unable to start, unable to open. Each time the operator reads the same in LastExit or StateReason, in the journal and
# in the event on the bus, Restarts counts it, and the LUN goes on; the bystander's host never changes. Lies on the channel and
# the control socket are lying_host's, aborts of the handler and poison host_process's.
# run: by-name
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh

readonly HOST_BINARY=/usr/lib/tcmu-bulkhead/tcmu-handler-host
trap 'chmod 755 $HOST_BINARY' EXIT
# shellcheck disable=SC2034  # storm.sh's
STORM_LUNS=(s0) FIO_LUNS=() CALM_LUNS=(c0)

follow_events() {
  busctl monitor --json=short "$BUS_NAME" >"$FILES/monitor.json" 2>"$FILES/monitor.err" &
  listens() { bus_call "$BUS_NAME" "$DEVICES" org.freedesktop.DBus.Peer Ping && grep -q '"Ping"' "$FILES/monitor.json"; }
  wait_until 60 listens
}
# events KIND PATTERN: how many of s0 the bus has carried.
events() {
  jq -c --arg kind "$1" --arg object "$object" --arg text "$2" 'select(.type == "signal" and .member == "Event") |
    .payload.data | select(.[0] == $kind and .[1] == $object and (.[2] | test($text)))' "$FILES/monitor.json" | wc -l
}
events_over() { [ "$(events "$1" "$2")" -gt "$3" ]; }

before() { # what deaths are measured against
  pid=$(host_pid s0)
  restarts=$(property s0 Restarts)
  died=$(events host-died .)
}
# died_as PATTERN: since before() the host has been ended once; everybody is told how, and commands are answered again.
died_as() {
  wait_until 60 host_is_not s0 "$pid"
  wait_state s0 serving
  property_matches s0 LastExit "^$1\$" || die "LastExit is: $(property s0 LastExit), expected /$1/"
  expect_eq "$(property s0 Restarts)" $((restarts + 1)) "Restarts after: $1"
  wait_until 10 events_over host-died "^$1\$" 0 || die "the bus carried no event host-died: $1"
  expect_eq "$(events host-died .)" $((died + 1)) "events host-died after: $1"
  # By its message id, as an alert would. Not as a match of journalctl's: that loses the first entry behind a cursor.
  expect_eq "$(journalctl -q --no-pager -o json --after-cursor="$JOURNAL_CURSOR" -u "$SUPERVISOR" | jq -r --arg pid "$pid" \
    --arg how "^handler-host $1; [0-9]+ commands wait" 'select(.MESSAGE_ID == "1fab6817b9544182ac7e2419a52f5e68" and .HOST_PID == $pid and
      (.MESSAGE | test($how))) | .DEVICE')" "$(property s0 Hba)/s0" "the device of the journal's entry for: $1"
  load_flows storm "${DISK[s0]}"
}

by_signals() {
  local signal
  for signal in KILL SEGV ABRT TERM; do
    say "== SIG$signal"
    before
    kill "-$signal" "$pid"
    died_as "killed by SIG$signal"
  done
}

with_its_group() {
  say "== its control group is killed"
  before
  echo 1 >"$(group_of s0)/cgroup.kill"
  died_as "killed by SIGKILL"
}

out_of_memory() {
  say "== out of memory"
  before
  echo 4096 >"$(group_of s0)/memory.max" || true # the writer is told when even killing was not enough at once
  died_as "killed for lack of memory \\(memory.max 4096 of its control group\\)"
  journalctl -q -k --no-pager -o cat --after-cursor="$JOURNAL_CURSOR" | grep -E "Memory cgroup out of memory: Killed process $pid \(tcmu:file/s0\)" ||
    die "it was not the kernel's OOM killer"
}

unable_to_start() {
  local failures
  say "== the program can't be executed for a while"
  before
  failures=$(events open-failed .)
  chmod 644 "$HOST_BINARY"
  kill -KILL "$pid"
  # First it is tried again and again; at the fourth time the device counts as failed, and is tried further.
  wait_state s0 failed
  property_matches s0 StateReason 'handler-host .*: Permission denied' ||
    die "StateReason is: $(property s0 StateReason)"
  events_over open-failed . $((failures + 3)) || die "$(events open-failed .) events open-failed"
  load_running storm || die "the load has ended: $(cat "$FILES/storm.txt")"
  chmod 755 "$HOST_BINARY"
  wait_state s0 serving
  expect_eq "$(property s0 StateReason)" "" "StateReason afterwards"
  load_flows storm "${DISK[s0]}"
}

unable_to_open() { # unable_to_open WHAT PATTERN BREAK-COMMAND MEND-COMMAND
  say "== dead while its file is $1"
  before
  eval "$3"
  kill -KILL "$pid"
  wait_state s0 failed
  property_matches s0 StateReason "$2" || die "StateReason is: $(property s0 StateReason), expected /$2/"
  tcmuctl show s0 | grep -E "$2" || die "tcmuctl show does not say why: $(tcmuctl show s0)"
  wait_until 10 events_over open-failed "$2" 0 || die "the bus carried no event open-failed that says: $2"
  wait_until 10 journal_has "can't be served: .*$2" || die "the journal does not say: $2"
  load_running storm || die "the load has ended: $(cat "$FILES/storm.txt")"
  eval "$4"
  wait_state s0 serving
  load_flows storm "${DISK[s0]}"
}

start_supervisor
storm_make file
object=$(device_object s0)
bystander=$(host_pid c0)
follow_events
checked_start storm s0 --rate 50 --depth 4 --kib 256 --compare-and-write
load_flows storm "${DISK[s0]}"
by_signals
with_its_group
out_of_memory
unable_to_start
unable_to_open "somewhere else" '/scratch/s0.raw does not exist' 'mv /scratch/s0.raw /scratch/away' 'mv /scratch/away /scratch/s0.raw'
unable_to_open "a folder" '/scratch/s0.raw' 'mv /scratch/s0.raw /scratch/away; mkdir /scratch/s0.raw' \
  'rmdir /scratch/s0.raw; mv /scratch/away /scratch/s0.raw'
unable_to_open "behind a link to nowhere" '/scratch/s0.raw' \
  'mv /scratch/s0.raw /scratch/away; ln -s /scratch/nowhere /scratch/s0.raw' \
  'mv /scratch/away /scratch/s0.raw'
checked_stop storm
no_error_in_the_kernel_log
expect_eq "$(host_pid c0)" "$bystander" "the bystander's host"
expect_eq "$(property c0 Restarts)" 0 "restarts of the bystander"
storm_unmake
expect_nothing_left
