#!/usr/bin/env bash
# What file systems and applications do to a thin LUN over loopback, with checksums: ext4 and xfs, buffered and direct, fstrim
# and online discard, `blkdiscard -z`; and fio, which trims and verifies what it wrote.
# timeout: 900
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

mib_of() { du -m "$1" | cut -f1; }

# Files written both ways, checked after the page cache of the file system is gone.
checked_files() { # checked_files FOLDER
  local way flags
  for way in buffered direct; do
    flags=()
    [ "$way" = buffered ] || flags=(oflag=direct)
    dd if=/dev/urandom of="$1/$way" bs=256k count=64 "${flags[@]}" conv=fsync status=none
  done
  (cd "$1" && sha256sum buffered direct) >/run/sums
}

file_system() { # file_system MKFS-COMMAND...
  local kind=$1
  shift
  say "== $kind"
  within 120 "mkfs.$kind" -q "$@" "$disk" || die "mkfs.$kind"
  mount -o discard "$disk" /mnt/fs
  checked_files /mnt/fs
  umount /mnt/fs
  mount "$disk" /mnt/fs
  (cd /mnt/fs && sha256sum -c --quiet /run/sums) || die "$kind: other content after mounting again"
  local before after
  rm /mnt/fs/direct
  sync -f /mnt/fs
  before=$(mib_of /scratch/d0.raw)
  within 120 fstrim /mnt/fs || die "$kind: fstrim"
  after=$(mib_of /scratch/d0.raw)
  [ $((before - after)) -ge 15 ] || die "$kind: fstrim of 16 MiB took the backing file from $before to $after MiB"
  (cd /mnt/fs && grep buffered /run/sums | sha256sum -c --quiet) || die "$kind: fstrim took more than was free"
  umount /mnt/fs
}

start_supervisor
make_backing /scratch/d0.raw 384M
create_lun file d0 384M /scratch/d0.raw
disk=$(loopback_lun d0)
mkdir -p /mnt/fs

file_system ext4
within 120 fsck.ext4 -fn "$disk" >"$FILES/fsck.txt" 2>&1 || die "ext4 is damaged: see fsck.txt"
file_system xfs -f
within 120 xfs_repair -n "$disk" >"$FILES/xfs_repair.txt" 2>&1 || die "xfs is damaged: see xfs_repair.txt"

say "== blkdiscard -z"
dd if=/dev/urandom of="$disk" bs=1M count=32 oflag=direct status=none
within 120 blkdiscard --zeroout --offset $((4 << 20)) --length $((16 << 20)) "$disk" || die "blkdiscard -z"
within 60 cmp --bytes $((16 << 20)) --ignore-initial $((4 << 20)):0 "$disk" /dev/zero || die "blkdiscard -z left something else than zeroes"
[ "$(dd if="$disk" bs=1M count=4 status=none | tr -d '\0' | wc -c)" -gt $((4 << 19)) ] || die "blkdiscard -z zeroed what it should not"

say "== fio: every block trimmed, written, verified"
within 300 fio --name=verify --filename="$disk" --ioengine=libaio --direct=1 --iodepth=8 --bs=4k-64k --blockalign=4k \
  --rw=randtrimwrite --size=96m --verify=crc32c --verify_fatal=1 --do_verify=1 --output="$FILES/fio.txt" || die "fio found other data than it wrote: see fio.txt"

expect_eq "$(property d0 Restarts)" 0 "hosts that had to be replaced"
delete_lun d0
expect_nothing_left
