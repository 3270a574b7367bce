#!/usr/bin/env bash
# The daemon goes while two LUNs are under verified load: by `systemctl stop`, by `systemctl restart`, by SIGKILL. A stop ends
# in bounded time; the initiators get BUSY and wait. A restart or a death costs a moment: the hosts go on, and the next daemon
# with them. No I/O error, no wrong byte; an old host is gone before a new one serves its file.
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/load.sh

declare -A disk
luns=(d0 d1)

both_flow() {
  local lun
  for lun in "${luns[@]}"; do
    wait_state "$lun" serving
    load_flows "$lun" "${disk[$lun]}"
  done
}
both_have_one_host() {
  local lun
  for lun in "${luns[@]}"; do
    expect_eq "$(pgrep -cf "^tcmu-host: file/$lun( |\$)")" 1 "hosts of $lun"
    expect_eq "$(writers_of "/scratch/$lun.raw")" "$(host_pid "$lun")" "processes that can write to the file of $lun"
  done
}
blocked() { [ "$(cat "$(device_of "$1")/action/block_dev")" = blocked ]; }
gone() { [ ! -e "/proc/$1" ]; }

start_supervisor
for lun in "${luns[@]}"; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
  disk[$lun]=$(loopback_lun "$lun")
  load_start "$lun" "${disk[$lun]}"
done
both_flow

say "== systemctl stop, then start"
for _ in 1 2; do
  old=("$(host_pid d0)" "$(host_pid d1)")
  began=$(date +%s%N)
  within 60 systemctl stop "$SUPERVISOR" || die "systemctl stop does not end"
  record "stop under load" $((($(date +%s%N) - began) / 1000000)) ms
  for pid in "${old[@]}"; do wait_until 10 gone "$pid" || die "a host outlives the stop"; done
  expect_eq "$(systemctl show --value --property=Result "$SUPERVISOR")" success "how the unit ended"
  for lun in "${luns[@]}"; do
    blocked "$lun" || die "initiators of $lun would wait in the ring instead of getting BUSY"
    expect_eq "$(fuser "/scratch/$lun.raw" 2>/dev/null | xargs || true)" "" "processes that have the file of $lun open"
    load_running "$lun" || die "the load on $lun gave up: $(cat "$FILES/$lun.txt")"
  done
  start_supervisor
  both_flow
  both_have_one_host
done

say "== systemctl restart, SIGKILL: the next daemon goes on with the hosts"
restarted() { [ "$(main_pid)" != "$main" ] && [ "$(main_pid)" != 0 ] && bus_name_owned; }
systemctl daemon-reexec
for how in restart kill restart kill kill; do
  old=("$(host_pid d0)" "$(host_pid d1)")
  main=$(main_pid)
  began=$(date +%s%N)
  if [ "$how" = restart ]; then
    within 90 systemctl restart "$SUPERVISOR" || die "systemctl restart does not end"
  else
    kill -9 "$main"
  fi
  wait_until 60 restarted || die "systemd does not start the daemon again"
  record "name back after $how" $((($(date +%s%N) - began) / 1000000)) ms
  both_flow
  expect_eq "$(host_pid d0) $(host_pid d1)" "${old[*]}" "hosts after $how"
  both_have_one_host
done
for lun in "${luns[@]}"; do
  expect_eq "$(property "$lun" Adoptions)" 5 "adoptions of the host of $lun"
  record "longest stall of $lun" "$(($(property "$lun" LongestStallUsec) / 1000))" ms
done
kept=$(systemctl show --value --property=NFileDescriptorStore "$SUPERVISOR")
expect_eq "$kept" $((11 * ${#luns[@]})) "descriptors that systemd keeps"
! journal_has "can't go on where the last supervisor stopped" || die "a device was not adopted"

say "== the next daemon can't read what the last one left: hosts end in good order, initiators get BUSY and retry"
old=("$(host_pid d0)" "$(host_pid d1)")
main=$(main_pid)
for fd in /proc/"$main"/fd/*; do
  [[ $(readlink "$fd") != */memfd:tcmu-journal* ]] || printf '\377' | dd of="$fd" bs=1 seek=8 conv=notrunc status=none
done
kill -9 "$main"
wait_until 60 restarted || die "systemd does not start the daemon again"
both_flow
for pid in "${old[@]}"; do gone "$pid" || die "an old host is still there while a new one serves"; done
both_have_one_host
journal_has "can't go on where the last supervisor stopped: the journal has version" || die "nobody is told why"

say "== supervisor and a host die together"
old=("$(host_pid d0)" "$(host_pid d1)")
main=$(main_pid)
kill -9 "$main" "${old[0]}"
wait_until 60 restarted || die "systemd does not start the daemon again"
both_flow
[ "$(host_pid d0)" != "${old[0]}" ] || die "the dead host is shown"
expect_eq "$(host_pid d1)" "${old[1]}" "the other one's host"
both_have_one_host

say "== somebody else resets the rings"
main=$(main_pid)
for lun in "${luns[@]}"; do echo 1 >"$(device_of "$lun")/action/reset_ring"; done
wait_until 60 journal_has 'the ring was reset; it is reset and opened anew' || die "the reset is not noticed"
both_flow
expect_eq "$(main_pid)" "$main" "the supervisor's pid"
both_have_one_host

for lun in "${luns[@]}"; do load_stop "$lun"; done
[ "$(systemctl show --value --property=NRestarts "$SUPERVISOR")" -ge 3 ] || die "systemd did not restart the daemon by itself"
# Nothing that the initiator's kernel calls an error.
! journalctl -q -k --no-pager --after-cursor="$JOURNAL_CURSOR" | grep -E 'I/O error|critical (target|medium|space allocation) error|timing out command' || die "the initiator saw errors"
for lun in "${luns[@]}"; do delete_lun "$lun"; done
expect_nothing_left
