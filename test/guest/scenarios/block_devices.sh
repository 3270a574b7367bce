#!/usr/bin/env bash
# LUNs on block devices: loop devices and scsi_debug disks with 512 and 4096 byte blocks keep a file system's data; the LUN's
# limits follow the device's; a discard reaches it; a LUN with smaller blocks than the device is refused; a read-only LUN
# tells the initiator so, and answers writes with DATA PROTECT.
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly MIB=$((1 << 20))

# fs_survives DISK NAME: a file system, data, a check from the disk itself.
fs_survives() {
  local sum
  mkdir -p "/mnt/$2"
  mkfs.ext4 -q "$1"
  mount "$1" "/mnt/$2"
  dd if=/dev/urandom of="/mnt/$2/data" bs=1M count=12 conv=fsync status=none
  sum=$(sha256sum <"/mnt/$2/data")
  umount "/mnt/$2"
  blockdev --flushbufs "$1"
  mount "$1" "/mnt/$2"
  expect_eq "$(sha256sum <"/mnt/$2/data")" "$sum" "checksum on $2 after remounting"
  umount "/mnt/$2"
}

on_loop() { # on_loop NAME BLOCK-SIZE
  local name=$1 bytes=$2 loop disk before after
  say "== loop device with blocks of $bytes"
  make_backing "/scratch/$name.img" 64M
  loop=$(losetup -f --show -b "$bytes" "/scratch/$name.img")
  targetcli_run /backstores/user:file create name="$name" size=64M cfgstring="$loop" control="hw_block_size=$bytes"
  disk=$(loopback_lun "$name")
  expect_eq "$(blockdev --getss "$disk") $(blockdev --getsize64 "$disk")" "$bytes $((64 * MIB))" "block size and size"
  expect_eq "$(property "$name" BlockSize)" "$bytes" "BlockSize on the bus"
  fs_survives "$disk" "$name"
  # The discard goes through the LUN and the loop device, and makes holes in the file below.
  sync -f /scratch
  before=$(du -m "/scratch/$name.img" | cut -f1)
  within 120 blkdiscard "$disk" || die "blkdiscard of $disk"
  after=$(du -m "/scratch/$name.img" | cut -f1)
  [[ $before -ge 12 && $after -le 1 ]] || die "after blkdiscard the file below takes $after MiB, before $before"
  cmp -n $((64 * MIB)) "$disk" /dev/zero || die "discarded blocks are no zeroes"
  # One that is cut has lost its end; that is not the same as being full.
  truncate -s 32M "/scratch/$name.img"
  losetup -c "$loop"
  expect_sense "medium error / write error" "$disk" -s "$bytes" -i /dev/urandom 2a 00 "$(lba10 $((48 * MIB / bytes)))" 00 00 01 00
  expect_sense "medium error / unrecovered read error" "$disk" -r "$bytes" 28 00 "$(lba10 $((48 * MIB / bytes)))" 00 00 01 00
  wait_until 10 journal_has "$loop: a command needs .* bytes of it, but it has been cut to 33554432: make it 67108864 bytes large again" ||
    die "the journal does not tell of the device's end"
  delete_lun "$name"
  losetup -d "$loop"
}

smaller_blocks_than_the_device() {
  local loop place
  say "== blocks of 512 on a device of 4096"
  make_backing /scratch/k4.img 64M
  loop=$(losetup -f --show -b 4096 /scratch/k4.img)
  place=$(hand_device 1 small "dev_config=file/$loop" "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$place")" EINVAL "a LUN of 512-byte blocks on a device of 4096"
  wait_until 10 journal_has "$loop has blocks of 4096 bytes, the LUN asks for 512: create the LUN with hw_block_size=4096" ||
    die "the journal does not name the remedy"
  hand_remove "$place"
  # Larger blocks than the device's are fine.
  losetup -d "$loop"
  loop=$(losetup -f --show /scratch/k4.img)
  place=$(hand_device 1 large "dev_config=file/$loop" "dev_size=$((64 * MIB))" hw_block_size=4096)
  expect_eq "$(enable_errno "$place")" 0 "a LUN of 4096-byte blocks on a device of 512"
  # And one that is larger than the device is not.
  hand_remove "$place"
  place=$(hand_device 1 toolarge "dev_config=file/$loop" "dev_size=$((65 * MIB))")
  expect_eq "$(enable_errno "$place")" EINVAL "a LUN larger than its device"
  wait_until 10 journal_has "$loop has 67108864 bytes, the LUN 68157440" || die "the journal does not name both sizes"
  hand_remove "$place"
  losetup -d "$loop"
}

debug_disk() { # prints scsi_debug's disk
  local place
  for place in /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/sd*; do
    [ -d "$place" ] && [ -b "/dev/${place##*/}" ] && echo "/dev/${place##*/}" && return 0
  done
  return 1
}
# The map shows which blocks hold something: "0-8191" and so on.
mapped_blocks() {
  tr ',' '\n' </sys/bus/pseudo/drivers/scsi_debug/map |
    awk -F- 'NF == 1 && $1 != "" { n++ } NF == 2 { n += $2 - $1 + 1 } END { print n + 0 }'
}

on_scsi_debug() { # on_scsi_debug BLOCK-SIZE: a disk that counts what is mapped
  local bytes=$1 name=sd$1 below disk mapped
  say "== scsi_debug with blocks of $bytes"
  modprobe scsi_debug dev_size_mb=48 sector_size="$bytes" lbpu=1 lbpws=1 lbprz=1 unmap_granularity=1 delay=0
  wait_until 30 debug_disk
  below=$(debug_disk)
  targetcli_run /backstores/user:file create name="$name" size=48M cfgstring="$below" control="hw_block_size=$bytes"
  disk=$(loopback_lun "$name")
  fs_survives "$disk" "$name"
  mapped=$(mapped_blocks)
  [ "$mapped" -ge $((12 * MIB / bytes)) ] || die "only $mapped blocks are mapped after 12 MiB were written"
  expect_in "$(sg_vpd -p 0xb2 "$disk")" '\(LBPU\): 1' "provisioning of the LUN"
  within 120 blkdiscard "$disk" || die "blkdiscard of $disk"
  expect_eq "$(mapped_blocks)" 0 "blocks that are mapped after the discard"
  property_matches "$name" HandlerCounters discarded_bytes || die "the host counts no discarded bytes"
  delete_lun "$name"
  wait_until 30 modprobe -r scsi_debug
}

read_only() {
  local loop disk sum
  say "== read-only"
  make_backing /scratch/ro.img 64M
  mkfs.ext4 -q /scratch/ro.img
  loop=$(losetup -f --show /scratch/ro.img)
  blockdev --setro "$loop"
  create_lun file ro 64M "$loop?ro=on"
  disk=$(loopback_lun ro)
  expect_eq "$(blockdev --getro "$disk")" 1 "what the initiator makes of it"
  expect_in "$(sg_modes "$disk")" 'WP=1' "the mode parameter header"
  expect_eq "$(property ro ReadOnly)" true "ReadOnly on the bus"
  sum=$(sha256sum <"$loop")
  local cdb
  for cdb in "2a 00 00 00 00 00 00 00 01 00" "0a 00 00 00 01 00" "8a 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00" \
    "41 00 00 00 00 00 00 00 01 00" "93 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00"; do
    expect_sense "data protect / write protected" "$disk" -s 512 -i /dev/urandom "$cdb"
  done
  # It can't discard, and says so in VPD page B2h.
  expect_sense "illegal request / invalid command operation code" "$disk" -s 24 \
    -i <(printf '\0\x16\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0') 42 00 00 00 00 00 00 00 18 00
  expect_eq "$(scsi_sense "$disk" 35 00 00 00 00 00 00 00 00 00)" good "SYNCHRONIZE CACHE of a read-only LUN"
  expect_eq "$(sha256sum <"$loop")" "$sum" "checksum of the device below"
  mkdir -p /mnt/ro
  mount -o ro "$disk" /mnt/ro
  [ -d /mnt/ro/lost+found ] || die "the read-only file system is empty"
  umount /mnt/ro
  delete_lun ro
  blockdev --setrw "$loop" # or whoever gets this loop device next can't write
  losetup -d "$loop"
}

start_supervisor
on_loop loop512 512
on_loop loop4096 4096
smaller_blocks_than_the_device
on_scsi_debug 512
on_scsi_debug 4096
read_only
expect_nothing_left
