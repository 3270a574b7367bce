#!/usr/bin/env bash
# What an initiator's SCSI tools see of a file LUN over loopback, checked for content: identity, VPD and mode pages, capacity,
# REPORT SUPPORTED OPERATION CODES, and each command that moves data against the bytes in the backing file. Space is given
# back: blkdiscard, fstrim and UNMAP make holes that du sees. Reserved bits, unknown opcodes and bad ranges get the sense
# that the standard names, with a field pointer. Also with blocks of 4096 bytes.
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly MIB=$((1 << 20))
in=$(mktemp)
out=$(mktemp)

# at FILE OFFSET BYTES: those bytes, as text to compare. Direct, as the host writes past the page cache.
at() { dd if="$1" iflag=direct,skip_bytes,count_bytes skip="$2" count="$3" bs=4096 status=none | sha256sum; }
same_bytes() { # same_bytes FILE OFFSET EXPECTED-FILE WHAT
  [ "$(at "$1" "$2" "$(stat -c %s "$3")")" = "$(sha256sum <"$3")" ] || die "$4: the backing file has other bytes"
}
zeroes_at() { # zeroes_at FILE OFFSET BYTES WHAT
  [ "$(at "$1" "$2" "$3")" = "$(head -c "$3" /dev/zero | sha256sum)" ] || die "$4: no zeroes there"
}

identity() {
  local serial shown
  serial=$(sed -n 's/.*: //p' "$(device_of d0)/wwn/vpd_unit_serial")
  [ -n "$serial" ] || die "targetcli gave the LUN no serial"

  shown=$(sg_inq "$disk")
  expect_in "$shown" 'PDT=0 .*version=0x06 +\[SPC-4\]' "sg_inq"
  expect_in "$shown" 'Resp_data_format=2' "sg_inq"
  expect_in "$shown" 'CmdQue=1' "sg_inq"
  expect_in "$shown" 'Vendor identification: LIO-ORG' "sg_inq"
  expect_in "$shown" 'Product identification: TCMU device' "sg_inq"
  expect_in "$shown" 'Product revision level: 0002' "sg_inq"
  expect_in "$shown" "Unit serial number: $serial" "sg_inq"

  # All pages that are listed, and only they, can be read.
  shown=$(sg_vpd -p 0x00 -HH "$disk")
  expect_in "$shown" '^00 00 00 0a 00 80 83 86 +87 8f b0 b1 b2 b4$' "sg_vpd 00"
  expect_sense "illegal request / invalid field in cdb / error in command: byte 2" "$disk" -r 96 12 01 b7 00 60 00
  expect_sense "illegal request / invalid field in cdb / error in command: byte 2" "$disk" -r 96 12 00 80 00 60 00

  expect_in "$(sg_vpd -p 0x80 "$disk")" "Unit serial number: $serial" "sg_vpd 80"
  shown=$(sg_vpd -p 0x83 "$disk")
  expect_in "$shown" 'vendor id: LIO-ORG' "sg_vpd 83"
  # As tcmu-runner made it: LIO's company id, then the first 25 hex digits of the serial.
  expect_in "$shown" "0x6001405$(tr -d '-' <<<"$serial" | cut -c1-25)" "sg_vpd 83, NAA"
  expect_in "$shown" 'vendor specific: file//scratch/d0.raw' "sg_vpd 83, config string"
  [ -e "/dev/disk/by-id/wwn-0x6001405$(tr -d '-' <<<"$serial" | cut -c1-25)" ] || die "udev made no by-id link of the NAA name"
}

limits() {
  local shown
  shown=$(sg_vpd -p 0xb0 "$disk")
  expect_in "$shown" 'WSNZ\): 0' "sg_vpd b0"
  expect_in "$shown" 'Maximum transfer length: 128 blocks' "sg_vpd b0"
  expect_in "$shown" 'Optimal transfer length granularity: 8 blocks' "sg_vpd b0"
  expect_in "$shown" 'Maximum unmap LBA count: [1-9]' "sg_vpd b0"
  expect_in "$shown" 'Maximum unmap block descriptor count: [1-9]' "sg_vpd b0"
  expect_in "$shown" 'Optimal unmap granularity: 8 blocks' "sg_vpd b0"
  expect_in "$shown" 'Unmap granularity alignment valid: true' "sg_vpd b0"
  expect_in "$shown" 'Maximum write same length: 0x[0-9a-f]*[1-9a-f]' "sg_vpd b0"
  expect_in "$(sg_vpd -p 0xb1 "$disk")" 'Non-rotating medium|Medium rotation rate is not reported' "sg_vpd b1"
  shown=$(sg_vpd -p 0xb2 "$disk")
  expect_in "$shown" '\(LBPU\): 1' "sg_vpd b2"
  expect_in "$shown" '\(LBPWS\): 1' "sg_vpd b2"
  expect_in "$shown" '\(LBPWS10\): 1' "sg_vpd b2"
  expect_in "$shown" '\(LBPRZ\): 1' "sg_vpd b2"
  expect_in "$shown" 'Provisioning type: 2' "sg_vpd b2"

  shown=$(sg_readcap -16 "$disk")
  expect_in "$shown" 'lbpme=1, lbprz=1' "sg_readcap -16"
  expect_in "$shown" 'Number of logical blocks=131072$' "sg_readcap -16"
  expect_in "$shown" 'Logical block length=512 bytes' "sg_readcap -16"
  expect_in "$shown" 'physical block length=4096 bytes' "sg_readcap -16"
  expect_in "$(sg_readcap "$disk")" 'Last LBA=131071 ' "sg_readcap"

  # The kernel's disk driver must have come to the same conclusions.
  local queue=/sys/block/${disk#/dev/}/queue
  expect_eq "$(cat "$queue/logical_block_size") $(cat "$queue/physical_block_size")" "512 4096" "block sizes"
  expect_eq "$(cat "$queue/rotational") $(cat "$queue/discard_granularity")" "1 4096" "rotational and discard granularity"
  expect_eq "$(cat "$queue/write_cache")" "write back" "the cache as the disk driver sees it"
  expect_eq "$(cat /sys/block/"${disk#/dev/}"/device/scsi_disk/*/FUA)" 1 "FUA as the disk driver sees it"
}

modes() {
  local shown
  shown=$(sg_modes "$disk")
  expect_in "$shown" 'WP=0, DpoFua=1' "sg_modes"
  expect_in "$shown" 'Read-Write error recovery' "sg_modes"
  expect_in "$shown" 'Caching' "sg_modes"
  expect_in "$shown" 'Control, ' "sg_modes"
  shown=$(sg_modes -6 -p 8 "$disk")
  expect_in "$shown" '^ 00 +08 12 04' "sg_modes -6, caching page: WCE"
  # The cache can be switched by the initiator, and MODE SENSE then says so.
  expect_eq "$(scsi_sense "$disk" -s 24 -i <(printf '\0\0\0\0\x08\x12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0') 15 10 00 00 18 00)" good "MODE SELECT(6), WCE off"
  expect_in "$(sg_modes -p 8 "$disk")" '^ 00 +08 12 00' "the caching page after WCE off"
  expect_eq "$(scsi_sense "$disk" -s 28 -i <(printf '\0\0\0\0\0\0\0\0\x08\x12\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0') 55 10 00 00 00 00 00 00 1c 00)" good "MODE SELECT(10), WCE on"
  expect_in "$(sg_modes -p 8 "$disk")" '^ 00 +08 12 04' "the caching page after WCE on"

  within 60 sg_turs -n 3 "$disk" || die "sg_turs"
  expect_in "$(sg_requests "$disk" 2>&1)" 'No additional sense information|No Sense' "sg_requests"
  within 60 sg_sync "$disk" || die "sg_sync"
  within 60 sg_sync --16 --lba=8 --count=8 "$disk" || die "sg_sync -16"
  within 60 sg_start --stop "$disk" || die "sg_start --stop"
  within 60 sg_start --start "$disk" || die "sg_start --start"
}

# What REPORT SUPPORTED OPERATION CODES says is what is carried out.
opcodes() {
  local shown opcode
  shown=$(sg_opcodes "$disk")
  for opcode in 00 03 08 0a 12 15 1a 1b 25 28 2a 35 41 42 55 5a 88 8a 91 93 a8 aa; do
    expect_in "$shown" "^ $opcode  " "sg_opcodes"
  done
  expect_in "$shown" '^ 9e +10 +16 ' "sg_opcodes, READ CAPACITY(16)"
  expect_in "$shown" '^ a3 +c +12 ' "sg_opcodes, itself"
  expect_in "$(sg_opcodes -o 0x2a "$disk")" 'Usage data: 2a [0-9a-f]{2} ff ff ff ff [0-9a-f]{2} ff ff ' "sg_opcodes -o 2a"
  expect_in "$(sg_opcodes -o 0x9e,0x10 "$disk")" 'Command is supported' "sg_opcodes -o 9e,10"
  expect_in "$(sg_opcodes -o 0x07 "$disk" 2>&1 || true)" 'is NOT supported' "sg_opcodes of REASSIGN BLOCKS"
}

# Every form of READ and WRITE against the backing file.
transfers() {
  random_file "$in" 8192
  expect_eq "$(scsi_sense "$disk" -s 8192 -i "$in" 0a 00 08 00 10 00)" good "WRITE(6)"
  same_bytes /scratch/d0.raw $((2048 * 512)) "$in" "WRITE(6)"
  expect_eq "$(scsi_sense "$disk" -r 8192 -o "$out" 08 00 08 00 10 00)" good "READ(6)"
  cmp "$in" "$out" || die "READ(6) returned other bytes"
  # A transfer length of 0 means 256 blocks in the six-byte forms alone.
  random_file "$in" $((256 * 512))
  expect_eq "$(scsi_sense "$disk" -s $((256 * 512)) -i "$in" 0a 01 00 00 00 00)" good "WRITE(6) of 256 blocks"
  same_bytes /scratch/d0.raw $((65536 * 512)) "$in" "WRITE(6) of 256 blocks"
  expect_eq "$(scsi_sense "$disk" -r $((256 * 512)) -o "$out" 08 01 00 00 00 00)" good "READ(6) of 256 blocks"
  cmp "$in" "$out" || die "READ(6) of 256 blocks returned other bytes"

  local form lba=4096
  for form in 10 12 16; do
    random_file "$in" 4096
    case $form in
      10) set -- "2a 00 $(lba10 $lba) 00 00 08 00" "28 00 $(lba10 $lba) 00 00 08 00" ;;
      12) set -- "aa 00 $(lba10 $lba) 00 00 00 08 00 00" "a8 00 $(lba10 $lba) 00 00 00 08 00 00" ;;
      16) set -- "8a 08 $(lba16 $lba) 00 00 00 08 00 00" "88 08 $(lba16 $lba) 00 00 00 08 00 00" ;; # with FUA
    esac
    expect_eq "$(scsi_sense "$disk" -s 4096 -i "$in" "$1")" good "WRITE($form)"
    same_bytes /scratch/d0.raw $((lba * 512)) "$in" "WRITE($form)"
    expect_eq "$(scsi_sense "$disk" -r 4096 -o "$out" "$2")" good "READ($form)"
    cmp "$in" "$out" || die "READ($form) returned other bytes"
    lba=$((lba + 8))
  done
}

write_same() {
  local at=$((8192 * 512)) pattern
  random_file "$in" 512
  within 60 sg_write_same --10 --lba=8192 --num=64 --in="$in" "$disk" || die "WRITE SAME(10)"
  pattern=$(mktemp)
  for _ in $(seq 64); do cat "$in"; done >"$pattern"
  same_bytes /scratch/d0.raw $at "$pattern" "WRITE SAME(10)"
  random_file "$in" 512
  within 60 sg_write_same --16 --lba=8256 --num=64 --in="$in" "$disk" || die "WRITE SAME(16)"
  for _ in $(seq 64); do cat "$in"; done >"$pattern"
  same_bytes /scratch/d0.raw $((at + 64 * 512)) "$pattern" "WRITE SAME(16)"
  # Without a data-out buffer: zeroes.
  within 60 sg_write_same --16 --ndob --lba=8192 --num=64 "$disk" || die "WRITE SAME(16) with NDOB"
  zeroes_at /scratch/d0.raw $at $((64 * 512)) "WRITE SAME(16) with NDOB"
  # UNMAP: zeroes, and the space is free again.
  local before after
  sync -f /scratch
  before=$(blocks_of /scratch/d0.raw)
  within 60 sg_write_same --16 --unmap --lba=8192 --num=128 "$disk" || die "WRITE SAME(16) with UNMAP"
  zeroes_at /scratch/d0.raw $at $((128 * 512)) "WRITE SAME(16) with UNMAP"
  after=$(blocks_of /scratch/d0.raw)
  [ $((before - after)) -ge 64 ] || die "WRITE SAME with UNMAP freed $((before - after)) of 128 blocks"
  # More than the limit of VPD page B0h, and 0 blocks, which here are more too.
  expect_sense "illegal request / invalid field in cdb" "$disk" -s 512 -i "$in" 93 00 "$(lba16 0)" 00 00 80 01 00 00
  expect_sense "illegal request / invalid field in cdb" "$disk" -s 512 -i "$in" 93 00 "$(lba16 0)" 00 00 00 00 00 00
}

unmap() {
  local before after
  dd if=/dev/urandom of="$disk" oflag=direct bs=1M seek=16 count=8 status=none
  before=$(blocks_of /scratch/d0.raw)
  within 60 sg_unmap --force --lba=32768,36864 --num=2048,4096 "$disk" || die "sg_unmap"
  zeroes_at /scratch/d0.raw $((32768 * 512)) $((2048 * 512)) "the first range of UNMAP"
  zeroes_at /scratch/d0.raw $((36864 * 512)) $((4096 * 512)) "the second range of UNMAP"
  after=$(blocks_of /scratch/d0.raw)
  # The file system may need a block or two more to tell of the holes.
  [ $((before - after)) -ge $((6144 - 64)) ] || die "UNMAP freed $((before - after)) of 6144 blocks"
  # One past the end.
  expect_sense "illegal request / logical block address out of range" "$disk" -s 24 \
    -i <(printf '\0\x16\0\x10\0\0\0\0\0\0\0\0\0\x01\xff\xff\0\0\0\x02\0\0\0\0') 42 00 00 00 00 00 00 00 18 00
}

discard() {
  local before after
  dd if=/dev/urandom of="$disk" oflag=direct bs=1M count=48 status=none
  before=$(du -m /scratch/d0.raw | cut -f1)
  within 120 blkdiscard "$disk" || die "blkdiscard"
  after=$(du -m /scratch/d0.raw | cut -f1)
  [[ $before -ge 48 && $after -le 1 ]] || die "after blkdiscard the file takes $after MiB, before $before"
  expect_eq "$(stat -c %s /scratch/d0.raw)" $((64 * MIB)) "size of the backing file after blkdiscard"

  mkfs.ext4 -q "$disk"
  mkdir -p /mnt/sg
  mount "$disk" /mnt/sg
  dd if=/dev/urandom of=/mnt/sg/large bs=1M count=32 conv=fsync status=none
  before=$(du -m /scratch/d0.raw | cut -f1)
  rm /mnt/sg/large
  sync -f /mnt/sg
  within 120 fstrim /mnt/sg || die "fstrim"
  after=$(du -m /scratch/d0.raw | cut -f1)
  [ $((before - after)) -ge 31 ] || die "fstrim of 32 MiB took the file from $before to $after MiB"
  umount /mnt/sg
  fsck.ext4 -fn "$disk" >"$FILES/fsck.txt" 2>&1 || die "the file system is damaged: $(cat "$FILES/fsck.txt")"
}

refusals() {
  local field="illegal request / invalid field in cdb / error in command:"
  expect_sense "$field byte 1 bit 0" "$disk" 00 01 00 00 00 00
  expect_sense "$field byte 1 bit 2" "$disk" -r 512 28 04 00 00 00 00 00 00 01 00
  expect_sense "$field byte 1 bit 7" "$disk" -r 512 28 80 00 00 00 00 00 00 01 00 # RDPROTECT without protection
  expect_sense "$field byte 14" "$disk" -r 512 88 00 "$(lba16 0)" 00 00 00 01 80 00
  expect_sense "$field byte 1" "$disk" -r 32 9e 1f "$(lba16 0)" 00 00 00 20 00 00 # no such service action
  expect_sense "$field byte 2" "$disk" -r 64 1a 00 3e 00 40 00 # no such mode page
  local cdb
  for cdb in "18 00 00 00 00 00" "3c 00 00 00 00 00 00 00 00 00" "99 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00" \
    "a1 00 00 00 00 00 00 00 00 00 00 00" "c1 00 00 00 00 00 00 00 00 00"; do
    expect_sense "illegal request / invalid command operation code / error in command: byte 0" "$disk" "$cdb"
  done
  # The last block, the first behind it, and an address that would overflow.
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 "$(lba10 131071)" 00 00 01 00)" good "the last block"
  expect_sense "illegal request / logical block address out of range" "$disk" -r 1024 28 00 "$(lba10 131071)" 00 00 02 00
  expect_sense "illegal request / logical block address out of range" "$disk" -r 512 28 00 "$(lba10 131072)" 00 00 01 00
  expect_sense "illegal request / logical block address out of range" "$disk" -r 512 88 00 ff ff ff ff ff ff ff ff 00 00 00 01 00 00
  expect_eq "$(scsi_sense "$disk" 28 00 "$(lba10 0)" 00 00 00 00)" good "READ(10) of no blocks"
  # Nothing of this was a fault of the host.
  expect_eq "$(property d0 Restarts)" 0 "hosts that had to be replaced"
}

blocks_of_4096() {
  local disk shown
  make_backing /scratch/k4.raw 64M
  targetcli_run /backstores/user:file create name=k4 size=64M cfgstring=/scratch/k4.raw control=hw_block_size=4096
  disk=$(loopback_lun k4)
  shown=$(sg_readcap -16 "$disk")
  expect_in "$shown" 'Number of logical blocks=16384$' "sg_readcap -16, 4096"
  expect_in "$shown" 'Logical block length=4096 bytes' "sg_readcap -16, 4096"
  expect_eq "$(cat "/sys/block/${disk#/dev/}/queue/logical_block_size")" 4096 "logical block size"
  random_file "$in" 8192
  expect_eq "$(scsi_sense "$disk" -s 8192 -i "$in" 2a 00 "$(lba10 100)" 00 00 02 00)" good "WRITE(10), 4096"
  same_bytes /scratch/k4.raw $((100 * 4096)) "$in" "WRITE(10), 4096"
  expect_eq "$(scsi_sense "$disk" -r 8192 -o "$out" 08 00 00 64 02 00)" good "READ(6), 4096"
  cmp "$in" "$out" || die "READ(6), 4096, returned other bytes"
  expect_sense "illegal request / logical block address out of range" "$disk" -r 4096 28 00 "$(lba10 16384)" 00 00 01 00
  mkfs.ext4 -q "$disk"
  mount "$disk" /mnt/sg
  dd if=/dev/urandom of=/mnt/sg/data bs=1M count=8 conv=fsync status=none
  umount /mnt/sg
  fsck.ext4 -fn "$disk" >"$FILES/fsck-4096.txt" 2>&1 || die "the file system is damaged: $(cat "$FILES/fsck-4096.txt")"
  delete_lun k4
}

start_supervisor
make_backing /scratch/d0.raw 64M
create_lun file d0 64M /scratch/d0.raw
disk=$(loopback_lun d0)
for part in identity limits modes opcodes transfers write_same unmap discard refusals blocks_of_4096; do
  say "== $part"
  "$part"
done
delete_lun d0
expect_nothing_left
