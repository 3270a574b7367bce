#!/usr/bin/env bash
# A start beside 100 LUNs that are there already: when the name is on the bus, when all are served, memory per host;
# beside an idle daemon's start. Then the daemon is restarted and killed: how long the LUN that was opened last has to wait while
# the next one takes over all 100 hosts.
# run: by-name
# boot: own
# timeout: 900
# memory: 4096
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/load.sh

LUNS=100
milliseconds() { date +%s%3N; }
count_serving() { tcmuctl list --json | jq '[.[] | select(.State == "serving")] | length'; }
all_adopted() { [ "$(tcmuctl list --json | jq --argjson n "$1" '[.[] | select(.State == "serving" and .Adoptions == $n)] | length')" = "$LUNS" ]; }
all_serving() { [ "$(count_serving)" = "$LUNS" ]; }

# time_to_name: starts the service, prints the milliseconds until its name is owned.
time_to_name() {
  local began
  began=$(milliseconds)
  systemctl start --no-block "$SUPERVISOR"
  wait_until 120 bus_name_owned
  printf '%d\n' $(($(milliseconds) - began))
}

modprobe target_core_user
wait_until 30 test -d "$TARGET"
# Once unmeasured: the first one of a boot also reads the program from the disk.
for _ in 1 2; do
  idle=$(time_to_name)
  stop_supervisor
done

# By hand, as `targetctl restore` would, but without a minute of Python: the kernel does not wait, nobody is there.
mkdir -p /scratch/luns "$TARGET/core/user_7"
for ((i = 0; i < LUNS; i++)); do
  truncate -s 16M "/scratch/luns/$i.raw"
  place=$TARGET/core/user_7/lun$i
  mkdir "$place"
  echo "dev_config=file//scratch/luns/$i.raw,dev_size=$((16 << 20)),nl_reply_supported=-1" >"$place/control"
  echo 1 >"$place/enable"
done

began=$(milliseconds)
named=$(time_to_name)
wait_until 300 all_serving
served=$(($(milliseconds) - began))
record "name on the bus, idle" "$idle" ms
record "name on the bus, $LUNS LUNs" "$named" ms
record "all $LUNS LUNs serving" "$served" ms

pss=0 private=0 hosts=0
for pid in $(pgrep -f '^tcmu-host: file/lun'); do
  read -r p d < <(awk '/^Pss:/ { p = $2 } /^Private_/ { d += $2 } END { print p, d }' "/proc/$pid/smaps_rollup")
  pss=$((pss + p)) private=$((private + d)) hosts=$((hosts + 1))
done
expect_eq "$hosts" "$LUNS" "hosts"
record "PSS per host" $((pss / hosts)) KiB
record "private memory per host" $((private / hosts)) KiB
record "PSS of the supervisor" "$(awk '/^Pss:/ { print $2 }' "/proc/$(systemctl show -P MainPID "$SUPERVISOR")/smaps_rollup")" KiB
say "idle $idle ms, named $named ms, serving $served ms, PSS $((pss / hosts)) KiB, private $((private / hosts)) KiB"

# The last one stands for all: it was opened behind 99 others.
disk=$(hand_loopback "lun$((LUNS - 1))")
dd if=/dev/urandom of="$disk" bs=64k count=4 oflag=direct status=none
load_start last "$disk" --size=8M --iodepth=4
load_flows last "$disk"
adoptions=0
for how in restart kill; do
  began=$(milliseconds)
  if [ "$how" = restart ]; then
    within 90 systemctl restart "$SUPERVISOR" || die "systemctl restart does not end"
  else
    systemctl kill --kill-whom=main --signal=KILL "$SUPERVISOR"
  fi
  wait_until 120 all_adopted $((++adoptions)) || die "not all hosts are adopted after $how"
  record "all $LUNS hosts adopted after $how" $(($(milliseconds) - began)) ms
  load_flows last "$disk"
done
load_stop last
property_over "lun$((LUNS - 1))" LongestStallUsec 0 || die "no stall is told, though there was nobody twice"
record "longest stall of a LUN under load, at two adoptions" "$(($(property "lun$((LUNS - 1))" LongestStallUsec) / 1000))" ms
hand_unexport "lun$((LUNS - 1))"
# As they came: by hand. rtslib knows of one device under an HBA.
for ((i = 0; i < LUNS; i++)); do within 60 rmdir "$TARGET/core/user_7/lun$i"; done
expect_nothing_left
stop_supervisor
