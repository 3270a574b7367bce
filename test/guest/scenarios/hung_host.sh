#!/usr/bin/env bash
# Hosts that hang are ended and their commands replayed, without an error for the initiator: one that is stopped, and one whose
# storage blocks so that nothing can end it, which is waited for visibly and never joined by a second one. Nobody is killed since
# the supervisor itself stood still. Commands that wait for a host get BUSY or an error, as tcmu.conf says.
# run: by-name
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh
source /usr/lib/bulkhead-guest/helpers/load.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

section_of() {
  local place
  place=$(device_of "$1")
  printf '[%s/%s]\n' "$(basename "$(dirname "$place")")" "$1"
}
uptime_over() { [ "$(cut -d. -f1 /proc/uptime)" -ge "$1" ]; }
after_seconds() { wait_until $(($1 + 60)) uptime_over $(($(cut -d. -f1 /proc/uptime) + $1)); }
hosts_of() { pgrep -c -f "^tcmu-host: [a-z]+/$1( |\$)" || true; }
no_errors_in_kernel() {
  ! journalctl -q -k --no-pager --after-cursor="$JOURNAL_CURSOR" | grep -E "I/O error|Sense Key" >&2 ||
    die "the kernel saw an I/O error"
}

stopped_host() {
  local pid bystander_pid
  say "== a host that is stopped"
  pid=$(property victim HostPid)
  bystander_pid=$(property bystander HostPid)
  kill -STOP "$pid"
  wait_until 60 journal_has "handler-host $pid has had a command for .*state T \(stopped\)" || die "no warning, or no state in it"
  wait_until 30 journal_has 'thread [0-9]+ \(.*\): state T' || die "the dump that was asked for is missing"
  wait_until 60 property_is victim WatchdogKills 1 || die "the stopped host was not ended"
  wait_state victim serving
  load_flows victim "$victim"
  load_flows bystander "$bystander"
  property_matches victim LastExit '^answered nothing for [0-9]+ s \(killed by SIGKILL\)$' || die "last exit: $(property victim LastExit)"
  property_over victim Replayed 0 || die "nothing was replayed"
  expect_eq "$(property victim Deaths) $(property victim Restarts)" "1 1" "deaths and restarts of the victim"
  expect_eq "$(property bystander HostPid) $(property bystander WatchdogKills)" "$bystander_pid 0" "the bystander's host"
  record "longest stall behind a stopped host" "$(($(property victim LongestStallUsec) / 1000))" ms
  no_errors_in_kernel
}

stopped_supervisor() {
  local supervisor victim_pid bystander_pid
  say "== the supervisor stands still for longer than a host may"
  supervisor=$(main_pid)
  victim_pid=$(property victim HostPid)
  bystander_pid=$(property bystander HostPid)
  kill -STOP "$supervisor"
  after_seconds 14
  kill -CONT "$supervisor"
  load_flows victim "$victim"
  load_flows bystander "$bystander"
  expect_eq "$(property victim HostPid) $(property bystander HostPid)" "$victim_pid $bystander_pid" "the hosts"
  no_errors_in_kernel
}

# blocking_lun NAME [OPTIONS]: over /dev/mapper/blocks, which stands still between `dmsetup suspend` and `resume`.
blocking_lun() {
  local sectors=$((64 * 2048))
  modprobe dm-mod
  make_backing /scratch/below.img 64M
  loop=$(losetup -f --show /scratch/below.img)
  dmsetup create blocks --table "0 $sectors linear $loop 0"
  create_lun file "$1" 64M "/dev/mapper/blocks${2:-}"
  configure "$(section_of "$1")" 'hang_warn_seconds = 2' 'hang_kill_seconds = 4'
  # The storage may be away for as long as an emulated machine takes to look at everything; initiator and kernel are to wait.
  echo 300 >"$(device_of "$1")/attrib/cmd_time_out"
  disk=$(loopback_lun "$1")
  echo 300 >"/sys/block/${disk##*/}/device/timeout"
  load_start "$1" "$disk"
  load_flows "$1" "$disk"
  pid=$(property "$1" HostPid)
  dmsetup suspend --noflush --nolockfs blocks
}
# Nothing is lost: what waited is answered, and every block is what was written last.
blocking_lun_goes_on() {
  dmsetup resume blocks
  wait_state "$1" serving
  load_flows "$1" "$disk"
  expect_eq "$(property "$1" StateReason) $(property "$1" WatchdogKills)" " 1" "the reason afterwards, and kills"
  load_stop "$1"
  delete_lun "$1"
  dmsetup remove blocks
  losetup -d "$loop"
  no_errors_in_kernel
}

# Its threads are in D state: the process does not end.
unkillable_host() {
  local loop disk pid
  say "== storage that blocks: nothing can end the host"
  blocking_lun blocked '?engine=threads'
  wait_until 40 property_matches blocked StateReason "handler-host $pid can't be killed; its storage does not answer" ||
    die "that it can't be killed is not shown: $(tcmuctl show blocked)"
  # A process that is ending has no command line: any that is found would be a second one.
  expect_eq "$(property blocked State) $(property blocked Restarts) $(hosts_of blocked)" "recovering 0 0" "state, and fresh hosts"
  [ -d "/proc/$pid" ] || die "the host is gone, so it could be killed, and this proves nothing"
  expect_eq "$(property blocked HostPid)" "$pid" "the host that is waited for"
  load_flows victim "$victim"
  blocking_lun_goes_on blocked
  journal_has "handler-host $pid has ended at last" || die "its end is not in the journal"
}

# With io_uring the process ends and what it has submitted does not: the lock of the file that it writes to is held on by that, and no
# other host gets beyond it.
host_that_leaves_writes_behind() {
  local loop disk pid
  say "== storage that blocks: the host ends, its writes do not"
  blocking_lun behind
  wait_until 40 property_matches behind StateReason 'holds a lock on it|can.t be killed' ||
    die "that the old host's I/O is waited for is not shown: $(tcmuctl show behind)"
  load_flows victim "$victim"
  blocking_lun_goes_on behind
}

# Commands that wait for a host: with a short timeout of the kernel's, 10 s.
waits() {
  local reader
  say "== no host can be started"
  make_backing /scratch/waits.raw 16M
  create_lun file waits 16M /scratch/waits.raw
  echo 10 >"$(device_of waits)/attrib/cmd_time_out"
  disk=$(loopback_lun waits) # for too_old as well
  within 60 udevadm settle
  wait_until 30 property_is waits InFlight 0
  mv /scratch/waits.raw /scratch/away.raw
  kill -9 "$(property waits HostPid)"
  wait_state waits failed
  dd if="$disk" of=/dev/null iflag=direct bs=4096 count=1 status=none 2>"$FILES/dd.txt" &
  reader=$!
  wait_until 60 property_matches waits ErrorsBySense '"busy":[1-9]' || die "no BUSY before the kernel's timeout"
  kill -0 "$reader" || die "the initiator saw an error: $(cat "$FILES/dd.txt")"
  mv /scratch/away.raw /scratch/waits.raw
  wait_state waits serving
  wait "$reader" || die "a read that had to wait failed: $(cat "$FILES/dd.txt")"
  expect_eq "$(property waits Expired)" 0 "commands that the kernel gave up"
  no_errors_in_kernel

  say "== and on_failure = error"
  configure "$(section_of waits)" 'on_failure = error'
  mv /scratch/waits.raw /scratch/away.raw
  kill -9 "$(property waits HostPid)"
  wait_state waits failed
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 00 00 00 00 00 00 01 00)" \
    "not ready / logical unit communication failure" "a read of a failed device"
  configure "# nothing"
  mv /scratch/away.raw /scratch/waits.raw
  wait_state waits serving
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 00 00 00 00 00 00 01 00)" good "a read afterwards"
}

# What is older than the kernel's timeout is not run: the initiator may have sent it again.
too_old() {
  local supervisor writer before after
  say "== commands that the kernel has given up"
  supervisor=$(main_pid)
  before=$(head -c 512 "/scratch/waits.raw" | sha256sum)
  tcmuctl hold waits
  scsi_sense "$disk" -s 512 -i /dev/urandom 2a 00 00 00 00 00 00 00 01 00 >"$FILES/too_old.txt" &
  writer=$!
  wait_until 30 property_is waits InFlight 1
  kill -STOP "$supervisor"
  happens 60 gone "$writer" || true # by the kernel's timer
  kill -CONT "$supervisor"
  wait_until 60 property_over waits Expired 0 || die "nothing expired: $(tcmuctl show waits)"
  tcmuctl resume waits
  wait_until 60 property_is waits InFlight 0
  after=$(head -c 512 "/scratch/waits.raw" | sha256sum)
  # The initiator's own retries may have written it; then it was told that the write is done.
  [ "$(cat "$FILES/too_old.txt")" = good ] || expect_eq "$after" "$before" "the block of a write that was given up"
  journal_has 'commands were older than cmd_time_out and were answered without being run' || die "not in the journal"
  delete_lun waits
}
gone() { ! kill -0 "$1" 2>/dev/null; }

start_supervisor
for lun in victim bystander; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
done
configure 'hang_warn_seconds = 20' "$(section_of victim)" 'hang_warn_seconds = 3' 'hang_kill_seconds = 6' 'hang_dump = on'
victim=$(loopback_lun victim)
bystander=$(loopback_lun bystander)
load_start victim "$victim"
load_start bystander "$bystander"
load_flows victim "$victim"
load_flows bystander "$bystander"
stopped_host
stopped_supervisor
unkillable_host
host_that_leaves_writes_behind
load_stop victim
load_stop bystander
expect_eq "$(property bystander Restarts)" 0 "restarts of the bystander"
tcmuctl show victim | tee "$FILES/show.txt" | grep -E '^ +Restarts: 1, hosts died 1, of these hung 1' || die "tcmuctl does not show the kill"
delete_lun victim
delete_lun bystander
waits
too_old
expect_nothing_left
