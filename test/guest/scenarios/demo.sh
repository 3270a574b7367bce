#!/usr/bin/env bash
# What tools/demo shows, as a test: two LUNs by unmodified targetcli, data on them, a host killed under load on both,
# a reboot, everything back.
# boot: own
# run: once
# timeout: 400
source /usr/lib/bulkhead-guest/lib.sh

headline() { printf '\n=== %s\n' "$*"; }
show() { printf '$ %s\n' "$*" && "$@" 2>&1 | sed 's/^/    /'; }
property() { # property LUN NAME
  busctl get-property "$BUS_NAME" "/org/kernel/TCMUDevices1/$(basename "$(dirname "$(device_of "$1")")")/$1" \
    org.kernel.TCMUService1.Device1 "$2" | sed 's/^[a-z]* //; s/"//g'
}

# Writes blocks with a growing number, reads others back, O_DIRECT, one at a time; prints the longest time between
# two answers, before and after /run/killed appears, and fails at a wrong or missing byte.
cat >/run/prober.py <<'PY'
import mmap, os, random, struct, sys, time
path, offset, blocks = sys.argv[1], 64 << 20, 4096
fd = os.open(path, os.O_RDWR | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
version = {}
longest = {"quiet": 0.0, "killed": 0.0}
count, last = 0, time.monotonic()
while not os.path.exists("/run/stop-probing"):
    block = random.randrange(blocks)
    at = offset + block * 4096
    if block in version and random.random() < 0.5:
        os.preadv(fd, [page], at)
        if struct.unpack_from("<QQ", page) != (block, version[block]):
            sys.exit(f"{path}: block {block} does not hold what was written and answered")
    else:
        struct.pack_into("<QQ", page, 0, block, count)
        os.pwritev(fd, [page], at)
        version[block] = count
    now = time.monotonic()
    phase = "killed" if os.path.exists("/run/killed") else "quiet"
    longest[phase] = max(longest[phase], now - last)
    count, last = count + 1, now
print(count, round(longest["quiet"] * 1000), round(longest["killed"] * 1000))
PY

if [ "$PHASE" = start ]; then
  headline "Two LUNs, made by unmodified targetcli"
  systemctl enable --quiet "$SUPERVISOR"
  start_supervisor
  for lun in d0 d1; do
    make_backing "/var/lib/luns/$lun.raw" 128M
    show targetcli /backstores/user:file create name="$lun" size=128M cfgstring="/var/lib/luns/$lun.raw"
    loopback_lun "$lun" >/run/disk-"$lun"
  done
  show lsscsi

  headline "A file system and checksummed data on each"
  for lun in d0 d1; do
    disk=$(cat /run/disk-"$lun")
    mkfs.ext4 -q "$disk" 60M
    mkdir -p /mnt/"$lun" && mount "$disk" /mnt/"$lun"
    dd if=/dev/urandom of=/mnt/"$lun"/data bs=1M count=16 status=none
    sha256sum /mnt/"$lun"/data | tee /var/lib/luns/"$lun".sum
    umount /mnt/"$lun"
  done

  headline "One process per LUN, each its own user, and all of it on the bus"
  show ps -C tcmu-supervisor,tcmu:file/d0,tcmu:file/d1 -o pid,user,rss,args
  show busctl --no-pager tree "$BUS_NAME"
  show tcmuctl list

  headline "kill -9 of d0's host, with verified I/O on both LUNs"
  for lun in d0 d1; do python3 /run/prober.py "$(cat /run/disk-$lun)" >/run/probe-"$lun" & done
  answered() { [ "$(tcmuctl list --json | jq '[.[].Commands | add] | min')" -gt 500 ]; }
  wait_until 60 answered
  : >/run/killed
  pid=$(property d0 HostPid)
  show kill -9 "$pid"
  replaced() { [ "$(property d0 State)" = serving ] && [ "$(property d0 HostPid)" != "$pid" ]; }
  wait_until 60 replaced
  before=$(tcmuctl list --json | jq '[.[].Commands | add] | min')
  went_on() { [ "$(tcmuctl list --json | jq '[.[].Commands | add] | min')" -gt $((before + 500)) ]; }
  wait_until 60 went_on
  : >/run/stop-probing
  wait %1 || die "d0 lost data or saw an I/O error"
  wait %2 || die "d1 lost data or saw an I/O error"
  show tcmuctl list
  {
    printf '%-4s  %-26s  %10s  %18s  %18s\n' LUN "its host" "I/O done" "longest gap before" "longest gap after"
    for lun in d0 d1; do
      read -r count quiet killed </run/probe-$lun
      [ "$lun" = d0 ] && fate="killed by SIGKILL" || fate="lived on"
      printf '%-4s  %-26s  %10d  %15d ms  %15d ms\n' "$lun" "$fate" "$count" "$quiet" "$killed"
      record "$lun longest gap, quiet" "$quiet" ms
      record "$lun longest gap, host of d0 killed" "$killed" ms
    done
  } | tee /var/lib/luns/summary
  expect_eq "$(property d1 Restarts)" 0 "restarts of the LUN that was left alone"

  headline "targetcli's saved configuration, and a reboot"
  show targetctl save
  systemctl unmask --quiet rtslib-fb-targetctl.service
  # Started too, as it is on a machine that has been booted with it: at a shutdown it takes the LUNs down while they are served.
  within 180 systemctl enable --quiet --now rtslib-fb-targetctl.service
  reboot_into rebooted
fi

headline "After the reboot"
both_back() { [ "$(tcmuctl list --json | jq '[.[] | select(.State == "serving")] | length')" = 2 ]; }
wait_until 120 both_back
show tcmuctl list
for lun in d0 d1; do
  disk=$(loopback_lun "$lun")
  mkdir -p /mnt/"$lun" && mount "$disk" /mnt/"$lun"
  show sha256sum --check /var/lib/luns/"$lun".sum
  sha256sum --quiet --check /var/lib/luns/"$lun".sum || die "$lun holds other data than before the reboot"
  umount /mnt/"$lun"
done
headline "Summary"
cat /var/lib/luns/summary
printf 'no I/O error, no wrong byte; both LUNs came back after the reboot with their data\n'
