#!/usr/bin/env bash
# Limits of a device: commands and bytes per second, as tcmu.conf says, from one moment to the next and without a new host. What is
# beyond them waits in its order and is not lost, not even when the host dies; its neighbour has no part in it; a host whose commands
# wait is not taken for one that hangs, and a supervisor that waits for the time to come uses none.
# run: by-name
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh
source /usr/lib/bulkhead-guest/helpers/load.sh

readonly LIMIT=20 BURST=2 SECONDS_EACH=10

section_of() {
  local place
  place=$(device_of "$1")
  printf '[%s/%s]\n' "$(basename "$(dirname "$place")")" "$1"
}
# Reads and writes that were answered, and their bytes.
commands() { property "$1" Commands | jq '.read + .write'; }
bytes() { property "$1" Bytes | jq '.read + .write'; }
milliseconds() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
uptime_over() { [ "$(milliseconds)" -ge "$1" ]; }
settle_for() { wait_until $(($1 + 60)) uptime_over $(($(milliseconds) + $1 * 1000)); }
over() { [ "$("$1" "$2")" -gt "$3" ]; }

# measure WHAT: sets $limited and $free, what each LUN moved, and $limited_ms, $free_ms, in which time at most.
measure() {
  local begin before free_begin free_before
  begin=$(milliseconds)
  before=$("$1" limited)
  free_before=$("$1" free)
  free_begin=$(milliseconds)
  settle_for "$SECONDS_EACH"
  free_ms=$(($(milliseconds) - free_begin))
  free=$(($("$1" free) - free_before))
  limited=$(($("$1" limited) - before))
  limited_ms=$(($(milliseconds) - begin))
}

# The bounds follow from the limit, whatever the machine: what was saved up, what the time allows, and what is in both.
within_limit() { # within_limit WHAT PER-SECOND SLACK
  local neighbours=$((free * 1000 / free_ms))
  local allowed=$(($2 * limited_ms / 1000 + $2 * BURST + $3))
  say "$1 in $limited_ms ms with a limit of $2 per second: $limited (at most $allowed), the neighbour: $free in $free_ms ms"
  [ "$limited" -le "$allowed" ] || die "$limited $1 in $limited_ms ms are more than $2 per second"
  [ "$limited" -ge $(($2 * free_ms / 1000 / 2)) ] || die "$limited $1 in $limited_ms ms are not even half of $2 per second"
  [ "$neighbours" -gt $(($2 * 2)) ] || die "the neighbour has a limit too: $neighbours $1 per second"
}
not_hung() {
  expect_eq "$(property limited WatchdogKills) $(property limited Expired)" "0 0" "kills by the watchdog, and expired commands"
  ! journal_has 'has had a command for' || die "a host was warned of, though its commands only waited for the limit"
}
supervisor_ticks() { awk '{ print $14 + $15 }' "/proc/$(main_pid)/stat"; }

start_supervisor
for lun in limited free; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
done
configure "$(section_of limited)" "limit_iops = $LIMIT" "limit_burst_seconds = $BURST" 'hang_warn_seconds = 3' 'hang_kill_seconds = 6'
disk=$(loopback_lun limited)
neighbour=$(loopback_lun free)
host=$(property limited HostPid)
expect_eq "$(property limited LimitIops) $(property limited LimitBytesPerSecond) $(property free LimitIops)" "$LIMIT 0 0" "limits on the bus"
load_start limited "$disk"
load_start free "$neighbour"
load_flows limited "$disk"
load_flows free "$neighbour"

say "== commands per second"
property_over limited Throttled 0 || wait_until 60 property_over limited Throttled 0 || die "nothing had to wait"
measure commands
within_limit commands "$LIMIT" 8
record "commands per second at a limit of $LIMIT" $((limited * 1000 / limited_ms)) 1/s
tcmuctl show limited | tee "$FILES/show.txt" | grep -E "^ +Limits: $LIMIT commands/s; [1-9][0-9]* commands had to wait" ||
  die "tcmuctl does not show the limit"

say "== the host dies while commands wait for the limit"
kill -9 "$host"
wait_until 60 host_is_not limited "$host"
wait_state limited serving
load_flows limited "$disk"

say "== bytes per second"
configure "$(section_of limited)" "limit_bytes_per_second = $((LIMIT * 4096))" "limit_burst_seconds = $BURST" 'hang_warn_seconds = 3' \
  'hang_kill_seconds = 6'
expect_eq "$(property limited LimitIops) $(property limited LimitBytesPerSecond)" "0 $((LIMIT * 4096))" "limits on the bus"
measure bytes
within_limit bytes $((LIMIT * 4096)) $((8 * 4096))

# At a command a second each of eight waits for longer than a host may be silent.
say "== waits that are longer than a host's silence may be"
configure "$(section_of limited)" "limit_iops = 1" "limit_burst_seconds = 0" 'hang_warn_seconds = 3' 'hang_kill_seconds = 6'
load_stop free
before=$(commands limited)
ticks=$(supervisor_ticks)
settle_for $((SECONDS_EACH * 2))
ticks=$(($(supervisor_ticks) - ticks))
over commands limited "$before" || die "nothing is answered any more"
not_hung
record "processor time of the supervisor in $((SECONDS_EACH * 2)) s of waiting" $((ticks * 1000 / $(getconf CLK_TCK))) ms
[ "$ticks" -lt $((SECONDS_EACH * $(getconf CLK_TCK))) ] || die "the supervisor turns while commands wait: $ticks ticks"

say "== set on the bus: counts before tcmu.conf, and for the next supervisor too"
tcmuctl limit limited --iops "$LIMIT"
expect_eq "$(property limited LimitIops) $(property limited LimitsFrom)" "$LIMIT SetLimits" "the limit that was set"
within 180 systemctl restart "$SUPERVISOR"
wait_state limited serving
expect_eq "$(property limited LimitIops) $(property limited LimitsFrom)" "$LIMIT SetLimits" "the limit of a supervisor that took over"
load_flows limited "$disk"
tcmuctl limit limited --reset
expect_eq "$(property limited LimitIops) $(property limited LimitsFrom)" "1 tcmu.conf" "the limit after --reset"

say "== no limit any more"
configure "# nothing"
before=$(commands limited)
wait_until 60 over commands limited $((before + LIMIT * 20)) || die "the limit is still there"
expect_eq "$(property limited LimitIops)" 0 "the limit on the bus"
load_stop limited
not_hung
expect_eq "$(property limited Deaths)" 1 "deaths but the one on purpose"
delete_lun limited
delete_lun free
expect_nothing_left
