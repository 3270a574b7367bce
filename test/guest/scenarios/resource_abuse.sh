#!/usr/bin/env bash
# A host that takes what is not its own: memory, threads, processors, descriptors, log lines, its neighbours' time. Each is
# bounded and named in the journal; the LUN goes on; a bystander reads and writes all the while, and the table at the end says
# how long its commands took during each. That lies are found out is lying_host's to show, that limits stand host_limits',
# that a hung host's commands are replayed hung_host's; here it is what that costs the others.
# run: once
# timeout: 1500
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly CONF=/etc/tcmu/tcmu.conf
readonly SAMPLES=$FILES/bystander.txt PHASES=$FILES/phases.txt
boot_seconds() { cut -d' ' -f1 /proc/uptime; }
samples() { wc -l <"$SAMPLES"; }
samples_over() { [ "$(samples)" -gt "$1" ]; }
bystander_lives() { kill -0 "$probe" 2>/dev/null; }

read_block() { scsi_sense "$disk" -r 512 28 00 "$(lba10 "$1")" 00 00 01 00; }

# during WHAT BLOCK [RESTARTS]: the READ that makes the host do it is answered in the end, and the bystander makes progress
# meanwhile: until the LUN has had more hosts than RESTARTS, if given.
during() {
  local what=$1 block=$2 restarts=${3:-} begin seen outcome="goes on"
  say "== $what"
  begin=$(boot_seconds)
  seen=$(samples)
  [ "$block" = none ] || expect_eq "$(read_block "$block")" good "the command, after a host that $what"
  # At least so many of the bystander's, for there to be something to count.
  wait_until 60 samples_over $((seen + 60)) || die "the bystander makes no progress while a host $what"
  if [ -n "$restarts" ]; then
    wait_until 60 property_over liar Restarts "$restarts" || die "a host that $what goes on"
    outcome="ended: $(property liar LastExit)"
  fi
  bystander_lives || die "the bystander failed while a host $what: $(cat "$FILES/probe.txt")"
  wait_state liar serving
  printf '%s\t%s\t%s\t%s\n' "$begin" "$(boot_seconds)" "$what" "$outcome" >>"$PHASES"
}

# ends_host WHAT BLOCK PATTERN: it costs the host its life, and LastExit and the journal say what for.
ends_host() {
  local what=$1 block=$2 pattern=$3 restarts host
  restarts=$(property liar Restarts)
  host=$(property liar HostPid)
  during "$what" "$block" "$restarts"
  [ ! -d "/proc/$host" ] || die "a host that $what lives on"
  property_matches liar LastExit "$pattern" || die "$what: LastExit is: $(property liar LastExit), expected /$pattern/"
  wait_until 20 journal_has "$pattern" || die "the journal does not name: $what"
}

# bounded WHAT BLOCK PATTERN: it costs nothing, as there is an end to it; the journal has what the host saw of that.
bounded() {
  local what=$1 block=$2 pattern=$3 restarts
  restarts=$(property liar Restarts)
  during "$what" "$block"
  expect_eq "$(read_block 1)" good "a command after a host that $what"
  expect_eq "$(property liar Restarts)" "$restarts" "hosts after one that $what"
  wait_until 20 journal_has "$pattern" || die "the journal does not name: $what"
}

mkdir -p /etc/tcmu
# Hangs are to be seen within this scenario's time.
printf '%s\n' 'host_memory_mebibytes = 96' 'hang_warn_seconds = 4' 'hang_kill_seconds = 8' >"$CONF"
start_supervisor
main=$(main_pid)
make_backing /scratch/told 4K
make_backing /scratch/bystander.raw 64M
create_lun liar liar 16M /scratch/told
create_lun file bystander 64M /scratch/bystander.raw
disk=$(loopback_lun liar)
bystander=$(loopback_lun bystander)
bystander_host=$(property bystander HostPid)
: >"$SAMPLES"
/usr/lib/bulkhead-guest/helpers/bystander.py probe "$bystander" "$SAMPLES" 2>"$FILES/probe.txt" &
probe=$!
wait_until 60 samples_over 20 || die "the bystander does not start: $(cat "$FILES/probe.txt")"

# The kernel's own unit attention, of the second LUN.
read_block 1 >/dev/null

during "nothing at all" none
# Blocks from 2000: test/liar/abuses.h; from 1000: test/liar/lies.h.
ends_host "takes memory" 2000 'killed for lack of memory \(memory.max 96M of its control group\)'
bounded "starts threads" 2001 'liar: after (4|5)[0-9]+ threads: Resource temporarily unavailable'
ends_host "starts a process" 2002 'killed by SIGSYS'
ends_host "spins" 2003 'answered nothing for [0-9]+ s'
ends_host "never answers" 2004 'answered nothing for [0-9]+ s'
bounded "floods its standard error" 1019 'on its standard error: .*line after line'
ends_host "floods its control socket" 1016 'answered nothing for [0-9]+ s'
ends_host "fills the channel with garbage" 2005 "broke the channel's rules"
bounded "leaks descriptors" 2006 'liar: after descriptor 6[0-9]: Too many open files'
ends_host "grows its memory" 2007 'killed by SIG(BUS|ABRT|SYS)'
ends_host "rings without end" 2008 'rings of its doorbell without answers'
ends_host "answers early, and writes on" 2009 'killed by SIGABRT'
ends_host "answers twice" 1010 'completion for a slot that is not in flight'
during "nothing any more" none

kill -TERM "$probe"
wait "$probe" || die "the bystander failed: $(cat "$FILES/probe.txt")"
expect_eq "$(property bystander HostPid) $(property bystander Restarts)" "$bystander_host 0" "the bystander's host"
expect_eq "$(main_pid)" "$main" "the supervisor's pid"
/usr/lib/bulkhead-guest/helpers/bystander.py table "$SAMPLES" "$PHASES"
lines=$(unit_journal "$SUPERVISOR" | wc -l)
say "lines of the supervisor in the journal: $lines"
[ "$lines" -lt 1000 ] || die "a host can flood the journal: $lines lines"
delete_lun liar
delete_lun bystander
expect_nothing_left
