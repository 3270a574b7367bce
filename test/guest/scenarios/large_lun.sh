#!/usr/bin/env bash
# A LUN as large as a file can be, 8 EiB less one block, on a sparse file: its last blocks are written and read, what lies behind
# is refused, also where the address and the length overflow together.
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly BYTES=$(((1 << 63) - 512)) # what bash can count to, and xfs can hold
readonly LAST=$((BYTES / 512 - 1))

# ext4 ends at 16 TiB; xfs has no such limit.
truncate -s 1G /scratch/xfs.img
mkfs.xfs -q -f /scratch/xfs.img
mkdir -p /mnt/large
mount -o loop /scratch/xfs.img /mnt/large
start_supervisor
truncate -s "$BYTES" /mnt/large/l0.raw
create_lun file l0 "$BYTES" /mnt/large/l0.raw
disk=$(loopback_lun l0)

shown=$(sg_readcap -16 "$disk")
expect_in "$shown" "Last LBA=$LAST " "sg_readcap -16"
expect_in "$(sg_readcap "$disk" 2>&1 || true)" 'capacity too large' "sg_readcap: too large for ten bytes"
expect_eq "$(blockdev --getsize64 "$disk")" "$BYTES" "the size of the disk"

random_file /run/in 4096
random_file /run/out 1
for lba in $((LAST - 7)) $((1 << 32)) $((0xffffffff - 3)) $((1 << 53)); do
  expect_eq "$(scsi_sense "$disk" -s 4096 -i /run/in 8a 08 "$(lba16 "$lba")" 00 00 00 08 00 00)" good "WRITE(16) at $lba"
  expect_eq "$(scsi_sense "$disk" -r 4096 -o /run/out 88 00 "$(lba16 "$lba")" 00 00 00 08 00 00)" good "READ(16) at $lba"
  cmp /run/in /run/out || die "READ(16) at $lba returned other bytes"
done
range="illegal request / logical block address out of range"
expect_sense "$range" "$disk" -r 4096 88 00 "$(lba16 $((LAST - 6)))" 00 00 00 08 00 00
expect_sense "$range" "$disk" -r 512 88 00 "$(lba16 $((LAST + 1)))" 00 00 00 01 00 00
expect_sense "$range" "$disk" -r 512 88 00 7f ff ff ff ff ff ff ff 00 00 00 01 00 00
expect_sense "$range" "$disk" -r 512 88 00 ff ff ff ff ff ff ff ff 00 00 00 02 00 00
expect_eq "$(property l0 Restarts)" 0 "hosts that had to be replaced"
delete_lun l0
umount /mnt/large
expect_nothing_left
