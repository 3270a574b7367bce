#!/usr/bin/env bash
# Power cuts at any write, while the LUN's host dies again and again: all that the host writes to the disk below goes into a
# write log (dm-log-writes); a file system on the LUN is under a load that syncs every record. Replayed to many points of the
# log, the file system is whole after its journal was replayed, and every record that was acknowledged as synced is there.
# timeout: 900
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

readonly HELPERS=/usr/lib/bulkhead-guest/helpers
readonly SECTORS=$((64 << 11))
readonly DEATHS=4
readonly POINTS=12

acked() { cat /run/records/acked 2>/dev/null || echo 0; }
acked_more_than() { [ "$(acked)" -gt "$1" ]; }

# check_at END: the disk as it was after the first END entries of the log.
check_at() {
  local synced loop
  python3 "$HELPERS/write_log.py" replay "$log" /scratch/replayed.img "$done_up_to" "$1"
  done_up_to=$1
  synced=$(awk -v end="$1" '$1 < end && $2 == "acked" { n = $3 } END { print n + 0 }' /run/log.txt)
  cp --sparse=always /scratch/replayed.img /scratch/cut.img
  # As a boot would: the journal is replayed, and nothing else may need a repair.
  loop=$(losetup -f --show /scratch/cut.img)
  if [ "$1" -gt "$made_at" ]; then
    within 120 e2fsck -y -E journal_only "$loop" >"$FILES/journal-$1.txt" 2>&1 || [ $? -le 1 ] ||
      die "the journal can't be replayed at $1: see journal-$1.txt"
    within 120 e2fsck -fn "$loop" >"$FILES/e2fsck-$1.txt" 2>&1 || die "the file system is damaged at $1: see e2fsck-$1.txt"
    mount -o ro "$loop" /mnt/cut
    python3 "$HELPERS/synced_records.py" check /mnt/cut "$synced" || die "records are lost at entry $1"
    umount /mnt/cut
    checked=$((checked + 1))
  fi
  losetup -d "$loop"
}

start_supervisor
modprobe dm-log-writes || die "no dm-log-writes in this kernel"
make_backing /scratch/below.img 64M
make_backing /scratch/log.img 1G
below=$(losetup -f --show /scratch/below.img)
log=$(losetup -f --show /scratch/log.img)
dmsetup create logged --table "0 $SECTORS log-writes $below $log"
create_lun file cut 64M "/dev/mapper/logged?discard=off"
disk=$(loopback_lun cut)
mkfs.ext4 -q -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$disk"
mkdir -p /mnt/lun /mnt/cut /run/records
mount "$disk" /mnt/lun
sync -f /mnt/lun
dmsetup message logged 0 mark made

python3 "$HELPERS/synced_records.py" write /mnt/lun /run/records "dmsetup message logged 0 mark" >"$FILES/writer.txt" 2>&1 &
writer=$!
for ((death = 0; death < DEATHS; death++)); do
  wait_until 60 acked_more_than "$(acked)" || die "the load stands still: $(cat "$FILES/writer.txt")"
  host=$(host_pid cut)
  kill -9 "$host"
  wait_until 30 host_is_not cut "$host"
done
wait_until 60 acked_more_than "$(acked)"
touch /run/records/stop
wait "$writer" || die "the load failed: $(cat "$FILES/writer.txt")"
record "records acknowledged" "$(acked)"
expect_eq "$(property cut Restarts)" "$DEATHS" "deaths of the host"
# As it is at this moment; what comes when everything is taken down is no news.
blockdev --flushbufs "$log"
delete_after() { umount /mnt/lun && delete_lun cut; }
delete_after
dmsetup remove logged

python3 "$HELPERS/write_log.py" list "$log" >/run/log.txt
cp /run/log.txt "$FILES/log.txt"
entries=$(wc -l </run/log.txt)
made_at=$(awk '$2 == "made" { print $1 }' /run/log.txt)
record "entries in the log" "$entries"
[ "$(grep -c ' acked ' /run/log.txt)" -ge "$DEATHS" ] || die "the log has no marks"
make_backing /scratch/replayed.img 64M
done_up_to=0 checked=0
# Just behind marks, just before flushes, and anywhere.
mapfile -t points < <({
  awk -v m="$made_at" '$1 > m && $2 == "acked" { print $1 + 1 }' /run/log.txt | shuf -n $((POINTS / 3))
  awk -v m="$made_at" '$1 > m && $2 == "flush" { print $1 }' /run/log.txt | shuf -n $((POINTS / 3))
  shuf -i $((made_at + 2))-"$entries" -n $((POINTS / 3))
} | sort -nu)
for point in "${points[@]}" "$entries"; do check_at "$point"; done
record "crash points checked" "$checked"
[ "$checked" -ge $((POINTS / 2)) ] || die "only $checked points were checked"
losetup -d "$below" "$log"
expect_nothing_left
