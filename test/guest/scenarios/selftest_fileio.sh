#!/usr/bin/env bash
# The testbed itself: a kernel fileio LUN made by unmodified targetcli over loopback keeps a file system's data.
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh

make_backing /scratch/f0.raw 256M
targetcli_run /backstores/fileio create name=f0 file_or_dev=/scratch/f0.raw write_back=false
disk=$(loopback_lun f0)
say "the LUN is $disk"
expect_eq "$(blockdev --getsize64 "$disk")" $((256 << 20)) "size of the disk"

mkdir /mnt/f0
mkfs.ext4 -q "$disk"
mount "$disk" /mnt/f0
dd if=/dev/urandom of=/mnt/f0/data bs=1M count=16 status=none
before=$(sha256sum </mnt/f0/data)
umount /mnt/f0
# So that the comparison reads the LUN and not the page cache.
blockdev --flushbufs "$disk"
mount "$disk" /mnt/f0
expect_eq "$(sha256sum </mnt/f0/data)" "$before" "checksum after remounting"
umount /mnt/f0

delete_lun f0
