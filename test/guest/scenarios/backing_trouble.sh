#!/usr/bin/env bash
# What lies below a LUN goes wrong while it is served: the file is cut, deleted, has no room left, or the disk under it fails.
# The initiator gets the sense that fits, the host lives on, operators see it, other parts of the LUN work, and when the
# trouble is over the LUN works again by itself.
# run: by-name
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly MIB=$((1 << 20))

read_at() { scsi_sense "$1" -r 4096 28 00 "$(lba10 $(($2 * 2048)))" 00 00 08 00; }                    # read_at DISK MIB
write_at() { scsi_sense "$1" -s 4096 -i /dev/urandom 2a 00 "$(lba10 $(($2 * 2048)))" 00 00 08 00; }  # write_at DISK MIB
works_at() { [ "$(read_at "$1" "$2") $(write_at "$1" "$2")" = "good good" ]; }

truncated() {
  local disk host
  say "== cut while it is served"
  make_backing /scratch/cut.raw 64M
  create_lun file cut 64M /scratch/cut.raw
  disk=$(loopback_lun cut)
  dd if=/dev/urandom of="$disk" oflag=direct bs=1M count=64 status=none
  host=$(property cut HostPid)
  truncate -s 16M /scratch/cut.raw
  expect_eq "$(read_at "$disk" 32)" "medium error / unrecovered read error" "reading behind the cut"
  expect_sense "medium error / write error" "$disk" -s 4096 -i /dev/urandom 2a 00 "$(lba10 65536)" 00 00 08 00
  # Half before and half behind it.
  expect_sense "medium error / unrecovered read error" "$disk" -r 4096 28 00 "$(lba10 $((16 * 2048 - 4)))" 00 00 08 00
  expect_eq "$(stat -c %s /scratch/cut.raw)" $((16 * MIB)) "size of the file, which no write may grow"
  works_at "$disk" 8 || die "what is left of the file can't be used"
  expect_eq "$(property cut HostPid) $(property cut State)" "$host serving" "the host"
  wait_until 10 journal_has '/scratch/cut.raw: a command needs [0-9]+ bytes of it, but it has been cut to 16777216: .*truncate -s 67108864' ||
    die "the journal does not say what happened and what to do"
  property_matches cut ErrorsBySense '"medium error":([3-9]|[1-9][0-9])' || die "the errors are not counted: $(property cut ErrorsBySense)"
  property_matches cut HandlerCounters '"beyond_end":([3-9]|[1-9][0-9])' || die "the handler does not count them: $(property cut HandlerCounters)"
  truncate -s 64M /scratch/cut.raw
  works_at "$disk" 32 || die "the LUN does not work again after the file has its size back"
  # A new host does not start on a file that is too short, and says so.
  truncate -s 16M /scratch/cut.raw
  kill -9 "$host"
  wait_state cut failed
  property_matches cut StateReason '/scratch/cut.raw has 16777216 bytes, the LUN 67108864' || die "reason: $(property cut StateReason)"
  truncate -s 64M /scratch/cut.raw
  wait_state cut serving
  works_at "$disk" 32 || die "the LUN does not work again"
  delete_lun cut
}

deleted() {
  local disk host sum attempts status
  say "== deleted while it is served"
  make_backing /scratch/gone.raw 64M
  ln /scratch/gone.raw /scratch/kept.raw
  create_lun file gone 64M /scratch/gone.raw
  disk=$(loopback_lun gone)
  dd if=/dev/urandom of="$disk" oflag=direct bs=1M count=8 status=none
  sum=$(dd if="$disk" iflag=direct bs=1M count=8 status=none | sha256sum)
  host=$(property gone HostPid)
  rm /scratch/gone.raw /scratch/kept.raw
  works_at "$disk" 32 || die "the LUN stops when the file's name is gone"
  expect_eq "$(property gone HostPid)" "$host" "the host"
  wait_until 10 journal_has '/scratch/gone.raw has been deleted while it is served: its data is lost when' ||
    die "the journal does not say that the file was deleted"
  # Saved from what is still open, as an administrator would.
  cp --sparse=always "$disk" /scratch/saved.raw

  kill -9 "$host"
  wait_state gone failed
  property_matches gone StateReason '/scratch/gone.raw does not exist' || die "reason: $(property gone StateReason)"
  tcmuctl list | grep -E '^user_[0-9]+/gone .*failed' || die "tcmuctl list does not show it: $(tcmuctl list)"
  tcmuctl show gone | grep -F '/scratch/gone.raw does not exist' || die "tcmuctl show does not say why"
  status=0
  tcmuctl doctor >"$FILES/doctor.txt" || status=$?
  { [ "$status" != 0 ] && grep -F 'gone' "$FILES/doctor.txt"; } || die "tcmuctl doctor finds nothing: $(cat "$FILES/doctor.txt")"
  # It is tried again and again.
  attempts=$(journalctl -q --no-pager -o cat --after-cursor="$JOURNAL_CURSOR" | grep -c "can't be served: /scratch/gone.raw does not exist" || true)
  tried_again() { [ "$(journalctl -q --no-pager -o cat --after-cursor="$JOURNAL_CURSOR" | grep -c "can't be served: /scratch/gone.raw")" -gt "$1" ]; }
  wait_until 60 tried_again "$attempts" || die "opening is not tried again"
  # The initiator waits meanwhile; then the file is back.
  dd if="$disk" iflag=direct bs=1M count=8 status=none 2>"$FILES/dd.txt" | sha256sum >"$FILES/sum" &
  mv /scratch/saved.raw /scratch/gone.raw
  wait_state gone serving
  wait "$!" || die "a read that had to wait failed: $(cat "$FILES/dd.txt")"
  expect_eq "$(cat "$FILES/sum")" "$sum" "checksum of what was saved"
  works_at "$disk" 32 || die "the LUN does not work again"
  expect_eq "$(property gone StateReason)" "" "the reason after the recovery"
  delete_lun gone
}

disk_full() { # disk_full NAME FOLDER: a sparse file on a file system with little room, mounted there
  local name=$1 folder=$2 disk host at written=0 sense=good
  say "== no room: $name"
  make_backing "$folder/lun.raw" 256M
  create_lun file "$name" 256M "$folder/lun.raw"
  disk=$(loopback_lun "$name")
  host=$(property "$name" HostPid)
  head -c $((8 * MIB)) /dev/zero | tr '\0' x >"$folder/filler"
  random=$(mktemp)
  head -c 65536 /dev/urandom >"$random"
  for ((at = 0; at < 256; at++)); do
    sense=$(scsi_sense "$disk" -s 65536 -i "$random" 2a 00 "$(lba10 $((at * 2048)))" 00 00 80 00)
    [ "$sense" = good ] || break
    written=$((written + 1))
    # Faster to the end.
    [ $((at % 2)) != 1 ] || head -c $((2 * MIB)) /dev/zero | tr '\0' x >>"$folder/filler" 2>/dev/null || true
  done
  [ "$written" -gt 0 ] || die "not even the first write had room"
  expect_eq "$sense" "data protect / space allocation failed write protect" "the first write without room"
  # What is there already can be read, and written in place.
  works_at "$disk" 0 || die "what is allocated can't be used"
  # The kernel tells its users so.
  dd if="$random" of="$disk" oflag=direct bs=65536 count=1 seek=$((at * 16)) status=none 2>"$FILES/dd-$name.txt" &&
    die "dd wrote where there is no room"
  grep -q 'No space left on device' "$FILES/dd-$name.txt" || die "dd says: $(cat "$FILES/dd-$name.txt")"
  wait_until 10 journal_has "$folder/lun.raw: write of .* No space left on device.*free some space" ||
    die "the journal does not say that there is no room"
  property_matches "$name" ErrorsBySense '"data protect":[1-9]' || die "not counted: $(property "$name" ErrorsBySense)"
  property_matches "$name" ErrorsBySense 'medium error' && die "it was told as a medium error: $(property "$name" ErrorsBySense)"
  rm "$folder/filler"
  sync -f "$folder"
  expect_eq "$(write_at "$disk" "$at")" good "the write after room was made"
  expect_eq "$(property "$name" HostPid) $(property "$name" State)" "$host serving" "the host"
  delete_lun "$name"
}

disk_full_everywhere() {
  local loop
  mkdir -p /mnt/full
  mount -t tmpfs -o size=24m none /mnt/full
  disk_full fulltmpfs /mnt/full
  umount /mnt/full
  make_backing /scratch/small.img 32M
  mkfs.ext4 -q -m 0 /scratch/small.img
  mount -o loop /scratch/small.img /mnt/full
  disk_full fullext4 /mnt/full
  umount /mnt/full
}

# failing_disk: /dev/mapper/failing over /scratch/failing.img; table_good and table_bad switch a range of it.
readonly SECTORS=$((128 * MIB / 512))
table_good() { dmsetup_load "0 $SECTORS linear $loop 0"; }
table_bad() { dmsetup_load "0 $1 linear $loop 0" "$1 $2 error" "$(($1 + $2)) $((SECTORS - $1 - $2)) linear $loop $(($1 + $2))"; }
dmsetup_load() {
  printf '%s\n' "$@" | dmsetup load failing
  dmsetup suspend --nolockfs failing
  dmsetup resume failing
}

disk_fails() {
  local loop disk host extent first count
  say "== the disk below fails"
  modprobe dm-mod
  make_backing /scratch/failing.img 128M
  loop=$(losetup -f --show /scratch/failing.img)
  dmsetup create failing --table "0 $SECTORS linear $loop 0"

  # Served directly.
  create_lun file onfailing 128M /dev/mapper/failing
  disk=$(loopback_lun onfailing)
  host=$(property onfailing HostPid)
  table_bad $((32 * 2048)) $((32 * 2048))
  failing_part_fails onfailing 40 "$host" /dev/mapper/failing
  table_good
  works_at "$disk" 40 || die "the LUN does not work again"
  delete_lun onfailing

  # Under a file, whose file system stays whole: only the file's own blocks fail.
  mkfs.ext4 -q -O ^has_journal /dev/mapper/failing
  mkdir -p /mnt/failing
  mount /dev/mapper/failing /mnt/failing
  dd if=/dev/urandom of=/mnt/failing/lun.raw bs=1M count=64 conv=fsync status=none
  create_lun file infailing 64M /mnt/failing/lun.raw
  disk=$(loopback_lun infailing)
  host=$(property infailing HostPid)
  # The extent that holds the file's 40th MiB, in blocks of 4 KiB.
  extent=$(filefrag -e -b4096 /mnt/failing/lun.raw |
    awk -F'[ :.]+' -v b=$((40 * 256)) '$2 ~ /^[0-9]+$/ && $3 <= b && b <= $4 { print $5 + b - $3 }')
  [ -n "$extent" ] || die "filefrag does not show where the file lies: $(filefrag -e /mnt/failing/lun.raw)"
  first=$((extent * 8)) count=8
  table_bad $first $count
  failing_part_fails infailing 40 "$host" /mnt/failing/lun.raw
  table_good
  works_at "$disk" 40 || die "the LUN does not work again"
  delete_lun infailing
  umount /mnt/failing
  dmsetup remove failing
  losetup -d "$loop"
}

failing_part_fails() { # failing_part_fails NAME MIB HOST PATH
  expect_eq "$(read_at "$disk" "$2")" "medium error / unrecovered read error" "reading where the disk fails"
  expect_eq "$(write_at "$disk" "$2")" "medium error / write error" "writing where the disk fails"
  works_at "$disk" 8 || die "where the disk works, the LUN does not"
  expect_eq "$(property "$1" HostPid) $(property "$1" State)" "$3 serving" "the host"
  wait_until 10 journal_has "$4: read of 4096 bytes at byte [0-9]+: Input/output error" || die "the journal does not tell the read error"
  wait_until 10 journal_has "$4: write of 4096 bytes at byte [0-9]+: Input/output error" || die "the journal does not tell the write error"
}

start_supervisor
truncated
deleted
disk_full_everywhere
disk_fails
expect_nothing_left
