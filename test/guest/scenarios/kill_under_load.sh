#!/usr/bin/env bash
# The promise: a host killed under load, again and again, costs its own LUN a stall and no error, and the other LUN
# nothing. Both LUNs are under verified O_DIRECT load; the victim's host is killed by SIGKILL ten times.
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh

KILLS=10

property() { # property LUN NAME: of the device's object on the bus
  busctl get-property "$BUS_NAME" "/org/kernel/TCMUDevices1/$(basename "$(dirname "$(device_of "$1")")")/$1" \
    org.kernel.TCMUService1.Device1 "$2" | sed 's/^[a-z]* //; s/"//g'
}
commands_answered() { tcmuctl list --json | jq --arg n "$1" '[.[] | select(.Name == $n) | .Commands | add] | add'; }
serving() { [ "$(property "$1" State)" = serving ]; }
answered_more_than() { serving "$1" && [ "$(commands_answered "$1")" -gt "$2" ]; }

load() { # load NAME DISK: until /run/stop-load exists
  fio --name="$1" --filename="$2" --rw=randrw --rwmixread=50 --bs=4k --iodepth=16 --ioengine=libaio --direct=1 \
    --size=64M --verify=crc32c --verify_backlog=64 --time_based --runtime=300 --trigger-file=/run/stop-load \
    --output-format=json --output="/run/$1.out" >/dev/null
  # fio puts a word about the trigger in front of its own JSON.
  sed -n '/^{/,$p' "/run/$1.out" >"$FILES/$1.json"
}

start_supervisor
for lun in victim bystander; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
done
victim=$(loopback_lun victim)
bystander=$(loopback_lun bystander)
bystander_pid=$(property bystander HostPid)

load victim "$victim" & load_victim=$!
load bystander "$bystander" & load_bystander=$!
wait_until 60 answered_more_than victim 200

for ((i = 1; i <= KILLS; i++)); do
  pid=$(property victim HostPid)
  before=$(commands_answered victim)
  kill -9 "$pid"
  # Answered by the next host: so it was replaced, and what was in flight came through.
  wait_until 60 answered_more_than victim $((before + 100))
  [ "$(property victim HostPid)" != "$pid" ] || die "the host was not replaced"
done

touch /run/stop-load
wait "$load_victim" || die "fio on the victim failed: $(jq -c '.jobs[0].error' "$FILES/victim.json")"
wait "$load_bystander" || die "fio on the bystander failed"
for lun in victim bystander; do
  expect_eq "$(jq '.jobs[0].error' "$FILES/$lun.json")" 0 "fio's error on $lun"
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
dmesg | grep -E "I/O error|blk_update_request|Sense Key" && die "the kernel saw an I/O error" || true
delete_lun victim
delete_lun bystander
stop_supervisor
