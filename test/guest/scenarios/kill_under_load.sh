#!/usr/bin/env bash
# The promise: a host killed under load, again and again, costs its own LUN a stall and no error, and the other LUN
# nothing. Both LUNs are under verified O_DIRECT load; the victim's host is killed by SIGKILL six times. Afterwards the
# supervisor is, while the victim is held.
# run: by-name
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/grants.sh
source /usr/lib/bulkhead-guest/helpers/load.sh

KILLS=6

commands_answered() { tcmuctl list --json | jq --arg n "$1" '[.[] | select(.Name == $n) | .Commands | add] | add'; }
serving() { [ "$(property "$1" State)" = serving ]; }
answered_more_than() { serving "$1" && [ "$(commands_answered "$1")" -gt "$2" ]; }

start_supervisor
for lun in victim bystander; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
done
victim=$(loopback_lun victim)
bystander=$(loopback_lun bystander)
bystander_pid=$(property bystander HostPid)

load_start victim "$victim" --iodepth=16
load_start bystander "$bystander" --iodepth=16
wait_until 60 answered_more_than victim 200

for ((i = 1; i <= KILLS; i++)); do
  pid=$(property victim HostPid)
  before=$(commands_answered victim)
  kill -9 "$pid"
  # Answered by the next host: so it was replaced, and what was in flight came through.
  wait_until 60 answered_more_than victim $((before + 100))
  [ "$(property victim HostPid)" != "$pid" ] || die "the host was not replaced"
done

load_stop victim
load_stop bystander
for lun in victim bystander; do
  record "$lun longest read" "$(jq '.jobs[0].read.clat_ns.max / 1e6' "$FILES/$lun.json")" ms
  record "$lun longest write" "$(jq '.jobs[0].write.clat_ns.max / 1e6' "$FILES/$lun.json")" ms
done
expect_eq "$(property victim Restarts)" "$KILLS" "restarts of the victim"
expect_eq "$(property victim LastExit)" "killed by SIGKILL" "how the last host ended"
expect_eq "$(property bystander HostPid)" "$bystander_pid" "the bystander's host"
expect_eq "$(property bystander Restarts)" 0 "restarts of the bystander"
[ "$(property victim Replayed)" -gt 0 ] || die "nothing was in flight at any of $KILLS kills: no proof"
record "victim longest stall" "$(($(property victim LongestStallUsec) / 1000))" ms
record "victim replayed" "$(property victim Replayed)" commands
journal_has "handler-host killed by SIGKILL; [0-9]+ commands wait" || die "the deaths are not in the journal"
! journalctl -q -k --no-pager --after-cursor="$JOURNAL_CURSOR" | grep -E "I/O error|Sense Key" >&2 ||
  die "the kernel saw an I/O error"
# An operator holds a LUN while its file is copied, say: the next supervisor must not give out what waits.
say "== a LUN that is held when the supervisor dies"
content() { sha256sum </scratch/victim.raw; }
tcmuctl hold victim
before=$(content)
dd if=/dev/urandom of="$victim" bs=4k count=1 oflag=direct status=none &
writer=$!
wait_until 30 property_over victim InFlight 0
supervisor_dies victim
wait_state victim held
expect_eq "$(content)" "$before" "what is in the file of a LUN that is held"
tcmuctl resume victim
wait "$writer" || die "the write that waited failed"
[ "$(content)" != "$before" ] || die "the write that waited is not in the file"

delete_lun victim
delete_lun bystander
stop_supervisor
