#!/usr/bin/env bash
# A host makes a system call that its filter forbids, on a kernel that audits: the operator reads which LUN it was, how its host
# ended and where to look, and the kernel's record there names process, user, program and call; tcmuctl says the call's name. The
# same of a host that judges a config string. The LUN goes on.
# run: by-name
# audit: on
# timeout: 300
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly ORDERS=/scratch/orders HOST=/usr/lib/tcmu-bulkhead/tcmu-handler-host HOST_DIED=1fab6817b9544182ac7e2419a52f5e68

# record_of PID: the kernel's, from its own log.
record_of() { journalctl -q -k --no-pager -o cat | grep -E "type=1326 .* pid=$1 "; }
has_record() { record_of "$1"; }
# Not by journalctl's own match: with that, --after-cursor leaves out the first one.
deaths() {
  journalctl -q --no-pager -o json --after-cursor="$JOURNAL_CURSOR" -u "$SUPERVISOR" |
    jq -c --arg id "$HOST_DIED" 'select(.MESSAGE_ID == $id)'
}
death_told() { [ -n "$(deaths | jq -r --arg pid "$1" 'select(.HOST_PID == $pid) | .HOST_PID')" ]; }
# judge_death: the pid of the host that judged a config string and died of it; fails if the journal tells of none.
judge_death() {
  deaths | jq -er 'select(.MESSAGE | test("that judged a config string killed by SIGSYS, as by its system call filter")) | .HOST_PID'
}
died_of_filter() { printf "killed by SIGSYS, as by its system call filter: the kernel's audit record of pid %s (type=1326) has the call" "$1"; }

# expect_record PID UID NUMBER NAME: of the call, in the kernel's words and in tcmuctl's.
expect_record() {
  local record said
  wait_until 20 has_record "$1"
  record=$(record_of "$1")
  expect_eq "$(wc -l <<<"$record")" 1 "records of pid $1"
  for said in "uid=$2 gid=$2 " "exe=\"$HOST\" sig=31 " "syscall=$3 "; do
    [[ $record == *" $said"* ]] || die "the record of pid $1 does not say \"$said\": $record"
  done
  said=$(journalctl -q -k --no-pager | tcmuctl decode seccomp | grep "(pid $1)")
  [[ $said == *" UTC: tcmu:"*"(pid $1): $4; it was ended (SIGSYS)" ]] || die "tcmuctl says: $said"
  say "$said"
}

# forbidden ATTEMPT NUMBER NAME: in the host of the LUN, which dies of it.
forbidden() {
  local pid uid said
  pid=$(host_pid escaper)
  uid=$(property escaper HostUid)
  echo "run $1" >"$ORDERS"
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 "$(lba10 1000)" 00 00 01 00)" good "the read that starts $1"
  wait_until 60 host_is_not escaper "$pid"
  wait_state escaper serving
  expect_eq "$(property escaper LastExit)" "$(died_of_filter "$pid")" "LastExit"
  wait_until 20 death_told "$pid"
  said=$(deaths | jq -r --arg pid "$pid" 'select(.HOST_PID == $pid) | [.DEVICE, .SUBTYPE, .MESSAGE] | join("|")')
  [[ $said == "$(property escaper Hba)/escaper|escape|handler-host $(died_of_filter "$pid"); "* ]] || die "the journal says: $said"
  expect_record "$pid" "$uid" "$2" "$3"
  # What a taken-over host could change of that is its name alone, which is the device's.
  [[ $(record_of "$pid") == *' comm="tcmu:pe/escaper" '* ]] || die "the record does not tell the device"
}

start_supervisor
: >"$ORDERS"
create_lun escape escaper 16M "$ORDERS"
disk=$(loopback_lun escaper)
# The kernel's own unit attention.
scsi_sense "$disk" -r 512 28 00 "$(lba10 1)" 00 00 01 00 >/dev/null
forbidden make_memory_file 319 memfd_create
forbidden make_ring 425 io_uring_setup
forbidden netlink 41 socket

say "== a host that judges a config string"
echo "run join_keyring" >"$ORDERS-of-check" # the LUN's own no other may open
verdict=$(busctl --timeout=100 call "$BUS_NAME" /org/kernel/TCMUService1/escape "$BUS_NAME" CheckConfig s "escape/$ORDERS-of-check")
[[ $verdict == *'killed by SIGSYS, as by its system call filter'* ]] || die "the verdict is: $verdict"
wait_until 20 judge_death
pid=$(judge_death)
wait_until 20 has_record "$pid"
uid=$(record_of "$pid" | grep -oE ' uid=[0-9]+' | cut -d= -f2)
[ "$uid" -ge "$(property escaper HostUid)" ] || die "the record's user is $uid"
expect_record "$pid" "$uid" 250 keyctl

journalctl -q -k --no-pager -o cat | grep type=1326 >"$FILES/records.txt"
delete_lun escaper
expect_nothing_left
