#!/usr/bin/env bash
# A host that lies to the supervisor, in every field of the channel and on the control socket: it is ended with the rule that
# it broke as the named reason, the command goes to the next host, and the other LUN notices nothing.
# timeout: 600
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/load.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

number=0

read_block() { scsi_sense "$disk" -r 512 28 00 "$(lba10 "$1")" 00 00 01 00; }

# ended PATTERN: the next lie (test/liar/lies.h) ends its host, and LastExit matches.
ended() {
  local restarts host
  restarts=$(property liar Restarts)
  host=$(property liar HostPid)
  expect_eq "$(read_block $((1000 + number)))" good "the command with lie $number"
  expect_eq "$(property liar Restarts)" $((restarts + 1)) "hosts after lie $number"
  property_matches liar LastExit "$1" || die "lie $number: LastExit is: $(property liar LastExit), expected /$1/"
  [ ! -d "/proc/$host" ] || die "lie $number: its host lives on"
  number=$((number + 1))
}

# survived: the next lie costs nothing.
survived() {
  local restarts
  restarts=$(property liar Restarts)
  expect_eq "$(read_block $((1000 + number)))" good "the command with lie $number"
  expect_eq "$(read_block 1)" good "a command after lie $number"
  expect_eq "$(property liar Restarts)" "$restarts" "hosts after lie $number"
  number=$((number + 1))
}

start_supervisor
main=$(main_pid)
make_backing /scratch/told 4K
make_backing /scratch/other.raw 64M
create_lun liar liar 16M /scratch/told
create_lun file other 64M /scratch/other.raw
disk=$(loopback_lun liar)
other=$(loopback_lun other)
other_host=$(property other HostPid)
load_start other "$other"
load_flows other "$other"

# The kernel's own unit attention, of the second LUN.
read_block 1 >/dev/null

ended 'completion for a slot that does not exist'
ended 'completion for a slot that is not in flight'
ended 'completion with a stale generation'
ended 'completion with reserved bits set'
ended 'completion with a status that SAM does not define'
ended 'completion with more than 96 sense bytes'
ended 'completion with sense but no CHECK CONDITION'
ended 'CHECK CONDITION without sense'
ended 'completion with more data than the command may move'
ended 'completion ring: more answers than there are slots'
ended_twice_answered() { # the first answer was honest, so the command has ended
  local restarts
  restarts=$(property liar Restarts)
  expect_eq "$(read_block $((1000 + number)))" good "the command that was answered twice"
  wait_until 60 property_over liar Restarts "$restarts"
  wait_state liar serving
  property_matches liar LastExit 'completion for a slot that is not in flight' || die "LastExit is: $(property liar LastExit)"
  number=$((number + 1))
}
ended_twice_answered
ended "a message that can't be parsed"
ended 'Hello twice'
ended 'an answer to a question nobody asked'
ended 'sent more than a control message may hold'
ended 'descriptors nobody asked for'
ended 'answered nothing for [0-9]+ s' # a flooded control socket, on which it waits
ended 'closed its control socket and went on'
survived # a sleep word that says anything
survived # a flooded standard error

load_stop other
expect_eq "$(property other HostPid) $(property other Restarts)" "$other_host 0" "the other LUN's host"
expect_eq "$(main_pid)" "$main" "the supervisor's pid"
journal_has "handler-host broke the channel's rules: completion with a stale generation; it is ended" ||
  die "the journal does not name the rule"
[ "$(unit_journal "$SUPERVISOR" | grep -c 'line after line')" -lt 200 ] || die "a host can flood the journal"
delete_lun liar
delete_lun other
expect_nothing_left
