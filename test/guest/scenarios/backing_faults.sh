#!/usr/bin/env bash
# The disk below a LUN lies, fails in one place, fails all writes, or is slow (device mapper: error, flakey, delay). Errors of
# one block name it; a flush that fails says so once for every write that it concerns and is never turned into a success, not
# even by the death of its host; a slow disk costs patience only; no host dies of it.
# run: by-name
# timeout: 600
# expect-kernel: Buffered I/O error on dev dm-|lost async page write|EXT4-fs warning .* I/O error -- the disk below the LUN fails on purpose
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly MIB=$((1 << 20))
readonly SECTORS=$((64 * MIB / 512))
readonly LOST="hardware error / write error"

# table LINE...: what /dev/mapper/below is from now on.
table() {
  printf '%s\n' "$@" | dmsetup load below
  dmsetup suspend --nolockfs --noflush below
  dmsetup resume below
}
all_good() { table "0 $SECTORS linear $loop 0"; }
writes_fail() { table "0 $SECTORS flakey $loop 0 0 3600 1 error_writes"; }
writes_vanish() { table "0 $SECTORS flakey $loop 0 0 3600 1 drop_writes"; }
slow() { table "0 $SECTORS delay $loop 0 $1"; }
block_fails() { table "0 $1 linear $loop 0" "$1 8 error" "$(($1 + 8)) $((SECTORS - $1 - 8)) linear $loop $(($1 + 8))"; }

write_block() { scsi_sense "$disk" -s 4096 -i /dev/urandom 2a "${2:-00}" "$(lba10 "$1")" 00 00 08 00; } # write_block LBA [FLAGS]
flush() { scsi_sense "$disk" 35 00 00 00 00 00 00 00 00 00; }
same_host() { expect_eq "$(property "$1" HostPid) $(property "$1" State)" "$2 serving" "the host"; }
information() { # information CDB SG_RAW-OPTION...: the block that the sense data names
  local cdb
  read -ra cdb <<<"$1"
  within 60 sg_raw -R "${@:2}" "$disk" "${cdb[@]}" 2>&1 | tr '[:upper:]' '[:lower:]' | sed -nE 's/.*info[^=]*=(0x[0-9a-f]+).*/\1/p' || true
}

one_block() {
  local host
  say "== one block of the disk fails"
  create_lun file spot 64M "/dev/mapper/below"
  disk=$(loopback_lun spot)
  host=$(property spot HostPid)
  block_fails 40960
  expect_eq "$(information "28 00 $(lba10 40961) 00 00 01 00" -r 512)" 0xa001 "INFORMATION of a read that failed"
  expect_eq "$(information "2a 00 $(lba10 40962) 00 00 01 00" -s 512 -i /dev/urandom)" 0xa002 "INFORMATION of a write that failed"
  # Linux would take the blocks before the one named for read, and none of them came.
  expect_eq "$(information "28 00 $(lba10 40952) 00 00 10 00" -r 8192)" "" "INFORMATION of a read of many blocks"
  expect_eq "$(write_block 40952) $(write_block 40968)" "good good" "writes beside it"
  all_good
  expect_eq "$(write_block 40960)" good "a write after the disk was mended"
  same_host spot "$host"
  delete_lun spot
}

failing_flush() { # failing_flush NAME CONFIG
  local host
  say "== a flush fails: $2"
  create_lun file "$1" 64M "$2"
  disk=$(loopback_lun "$1")
  host=$(property "$1" HostPid)
  expect_eq "$(write_block 8) $(flush)" "good good" "with a disk that works"
  expect_eq "$(write_block 800)" good "a write to the cache"
  writes_fail
  expect_eq "$(flush)" "$LOST" "the flush of what can't be written"
  # What the page cache threw away stays lost; what is written from now on is not.
  all_good
  expect_eq "$(write_block 1600) $(flush)" "good good" "after it was told"
  # Told to a durable write, which may be tried again and then is durable: the others are still lost.
  expect_eq "$(write_block 2400)" good "a write to the cache"
  writes_fail
  [ "$(write_block 3200 08)" != good ] || die "a write with FUA to a disk that fails was answered GOOD"
  all_good
  expect_eq "$(write_block 3200 08)" good "the write with FUA, again"
  expect_eq "$(flush)" "$LOST" "the flush after a durable write was told of the loss"
  expect_eq "$(flush)" good "the flush after that"
  # As programs see it.
  expect_eq "$(write_block 4000)" good "a write to the cache"
  writes_fail
  if dd if=/dev/urandom of="$disk" bs=64k count=4 seek=100 conv=fsync status=none 2>"$FILES/fsync.txt"; then
    die "fsync() on the initiator's side succeeds"
  fi
  all_good
  dd if=/dev/urandom of="$disk" bs=64k count=4 seek=100 conv=fsync status=none || die "fsync() fails with a disk that works"
  same_host "$1" "$host"
  # A host that is told of a loss and dies owes it to the next.
  expect_eq "$(write_block 2400)" good "a write to the cache"
  writes_fail
  [ "$(write_block 3200 08)" != good ] || die "a write with FUA to a disk that fails was answered GOOD"
  all_good
  kill -9 "$host"
  wait_until 30 host_is_not "$1" "$host"
  expect_eq "$(flush)" "$LOST" "the flush of the next host"
  expect_eq "$(flush)" good "the flush after that"
  delete_lun "$1"
}

blocked_in_the_disk() { cut -d ' ' -f 3 /proc/"$1"/task/*/stat 2>/dev/null | grep -q D; }

# The host is killed while its flush waits for the disk, and the write back fails after that: the kernel tells a dead process.
loss_at_a_death() {
  local host flusher
  say "== a flush fails while its host is being killed"
  create_lun file late 64M "/dev/mapper/below?direct=off"
  disk=$(loopback_lun late)
  host=$(property late HostPid)
  expect_eq "$(write_block 800) $(flush)" "good good" "with a disk that works"
  within 60 udevadm settle
  dmsetup suspend --nolockfs --noflush below
  expect_eq "$(write_block 800)" good "a write to the cache"
  flush >"$FILES/late-flush.txt" &
  flusher=$!
  wait_until 30 blocked_in_the_disk "$host"
  kill -9 "$host"
  # A flush of the disk itself succeeds: nothing but the kernel's word to the dead tells of the block.
  printf '%s\n' "0 800 linear $loop 0" "800 8 error" "808 $((SECTORS - 808)) linear $loop 808" | dmsetup load below
  dmsetup resume below
  wait_until 60 host_is_not late "$host"
  wait "$flusher"
  expect_eq "$(cat "$FILES/late-flush.txt")" "$LOST" "the flush in which the host was killed"
  journal_has 'a write to the backing file failed while the handler-host was being ended' || die "the journal does not tell of the loss"
  all_good
  expect_eq "$(write_block 800) $(flush)" "good good" "after it was told"
  delete_lun late
}

lying_disk() {
  local host
  say "== the disk forgets writes"
  create_lun file liar 64M /dev/mapper/below
  disk=$(loopback_lun liar)
  host=$(property liar HostPid)
  writes_vanish
  expect_eq "$(write_block 8) $(flush)" "good good" "nobody can tell"
  all_good
  same_host liar "$host"
  delete_lun liar
}

slow_disk() {
  local host began
  say "== the disk takes a second and a half for everything"
  create_lun file slow 64M "/dev/mapper/below?direct=on"
  disk=$(loopback_lun slow)
  host=$(property slow HostPid)
  slow 1500
  began=$SECONDS
  expect_eq "$(write_block 8) $(flush)" "good good" "on a slow disk"
  dd if="$disk" of=/dev/null bs=4096 count=2 iflag=direct status=none || die "a read fails on a slow disk"
  [ $((SECONDS - began)) -ge 4 ] || die "the disk was not slow"
  all_good
  same_host slow "$host"
  expect_eq "$(property slow Restarts)" 0 "restarts"
  delete_lun slow
}

start_supervisor
for module in dm-mod dm-flakey dm-delay; do modprobe "$module" || die "no $module in this kernel"; done
# The kernel writes back when it is told to, not when half a minute has gone by while the disk fails.
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
make_backing /scratch/below.img 64M
loop=$(losetup -f --show /scratch/below.img)
dmsetup create below --table "0 $SECTORS linear $loop 0"
one_block
failing_flush device "/dev/mapper/below?direct=off"
loss_at_a_death
lying_disk
slow_disk
# Under a file, on a file system that has nothing else to write.
mkfs.ext4 -q -O ^has_journal /dev/mapper/below
mkdir -p /mnt/below
mount -o noatime /dev/mapper/below /mnt/below
dd if=/dev/urandom of=/mnt/below/lun.raw bs=1M count=32 conv=fsync status=none
failing_flush_in_file() {
  create_lun file infile 32M "/mnt/below/lun.raw?direct=off"
  disk=$(loopback_lun infile)
  expect_eq "$(write_block 800)" good "a write to the cache"
  writes_fail
  expect_eq "$(flush)" "$LOST" "the flush of what can't be written"
  all_good
  expect_eq "$(write_block 800) $(flush)" "good good" "after it was told"
  delete_lun infile
}
failing_flush_in_file
umount /mnt/below
dmsetup remove below
losetup -d "$loop"
echo 500 >/proc/sys/vm/dirty_writeback_centisecs
expect_nothing_left
