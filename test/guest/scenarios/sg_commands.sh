#!/usr/bin/env bash
# The commands beyond reading and writing, by sg3_utils over loopback, checked against the bytes of the backing file: verifying,
# COMPARE AND WRITE, ORWRITE, WRITE ATOMIC, copying inside the LUN, GET LBA STATUS from real extents, SANITIZE, FORMAT UNIT, log
# and mode pages, diagnostics. Also sense data in descriptor format.
# timeout: 900
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

in=$(mktemp)
out=$(mktemp)

put_blocks() { dd if="$1" of="$disk" bs=512 seek="$2" oflag=direct conv=notrunc status=none; } # put_blocks FILE LBA
get_blocks() { dd if="$disk" bs=512 skip="$1" count="$2" iflag=direct status=none; }           # get_blocks LBA COUNT

verifying() {
  random_file "$in" 4096
  put_blocks "$in" 1000
  within 60 sg_verify --lba=1000 --count=8 "$disk" || die "VERIFY(10)"
  within 60 sg_verify --16 --lba=1000 --count=8 "$disk" || die "VERIFY(16)"
  within 60 sg_verify --lba=1000 --count=8 --ndo=4096 --in="$in" "$disk" || die "VERIFY(10) of equal blocks"
  within 60 sg_verify --16 --lba=1000 --count=8 --ndo=4096 --in="$in" "$disk" || die "VERIFY(16) of equal blocks"
  # Byte 700 differs: the sense says so, in its information field.
  expect_eq "$(scsi_sense "$disk" -s 512 -i "$in" 2f 06 "$(lba10 1000)" 00 00 01 00)" good "VERIFY(10), BYTCHK 3"
  printf '\377' | dd of="$in" bs=1 seek=700 conv=notrunc status=none
  cmp -s "$in" <(get_blocks 1000 8) && printf '\376' | dd of="$in" bs=1 seek=700 conv=notrunc status=none
  expect_sense "miscompare / miscompare during verify operation" "$disk" -s 4096 -i "$in" 2f 02 "$(lba10 1000)" 00 00 08 00
  within 60 sg_write_verify --lba=2000 --num=8 --bytchk=1 --in="$in" --ilen=4096 "$disk" || die "WRITE AND VERIFY(10)"
  within 60 sg_write_verify --16 --lba=2008 --num=8 --in="$in" --ilen=4096 "$disk" || die "WRITE AND VERIFY(16)"
  cmp "$in" <(get_blocks 2000 8) || die "WRITE AND VERIFY(10) wrote other bytes"
  cmp "$in" <(get_blocks 2008 8) || die "WRITE AND VERIFY(16) wrote other bytes"
  expect_eq "$(scsi_sense "$disk" 34 00 "$(lba10 1000)" 00 00 08 00)" good "PRE-FETCH(10)"
  expect_eq "$(scsi_sense "$disk" 90 00 "$(lba16 1000)" 00 00 00 08 00 00)" good "PRE-FETCH(16)"
}

# VMware's lock: one block, compared and replaced at once (VAAI ATS).
compare_and_write() {
  random_file "$in" 512
  put_blocks "$in" 3000
  cp "$in" "$out"
  head -c 512 /dev/urandom >>"$out"
  within 60 sg_compare_and_write --in="$out" --lba=3000 --num=1 "$disk" || die "COMPARE AND WRITE"
  cmp <(tail -c 512 "$out") <(get_blocks 3000 1) || die "COMPARE AND WRITE wrote other bytes"
  local status=0
  within 60 sg_compare_and_write --in="$out" --lba=3000 --num=1 "$disk" 2>/dev/null || status=$?
  expect_eq "$status" 14 "sg_compare_and_write's status for a miscompare"
  cmp <(tail -c 512 "$out") <(get_blocks 3000 1) || die "a COMPARE AND WRITE that failed wrote something"
  expect_in "$(sg_vpd -p 0xb0 "$disk")" 'Maximum compare and write length: [1-9]' "sg_vpd b0"
}

or_and_atomic_writes() {
  local shown
  printf '\x0f%.0s' {1..512} >"$in"
  put_blocks "$in" 3100
  printf '\xf0%.0s' {1..512} >"$out"
  expect_eq "$(scsi_sense "$disk" -s 512 -i "$out" 8b 00 "$(lba16 3100)" 00 00 00 01 00 00)" good "ORWRITE(16)"
  [ -z "$(get_blocks 3100 1 | tr -d '\377')" ] || die "ORWRITE(16): not every bit is set"
  shown=$(sg_vpd -p 0xb0 "$disk")
  expect_in "$shown" 'Maximum atomic transfer length: [1-9]' "sg_vpd b0"
  # A file promises a sector at a time.
  random_file "$in" 512
  expect_eq "$(scsi_sense "$disk" -s 512 -i "$in" 9c 00 "$(lba16 3200)" 00 00 00 01 00 00)" good "WRITE ATOMIC(16)"
  cmp "$in" <(get_blocks 3200 1) || die "WRITE ATOMIC(16) wrote other bytes"
  expect_sense "illegal request / invalid field in cdb" "$disk" -s 1024 -i <(cat "$in" "$in") 9c 00 "$(lba16 3200)" 00 00 00 02 00 00
}

copying() {
  random_file "$in" $((64 * 512))
  put_blocks "$in" 4096
  within 120 sg_xcopy if="$disk" of="$disk" skip=4096 seek=8192 count=64 bs=512 || die "sg_xcopy"
  cmp "$in" <(get_blocks 8192 64) || die "EXTENDED COPY wrote other bytes"
  expect_in "$(sg_copy_results --params "$disk")" 'Maximum segment descriptor count: [1-9]' "RECEIVE COPY OPERATING PARAMETERS"
  expect_in "$(sg_vpd -p 0x8f "$disk")" 'Third party copy|Third Party Copy' "sg_vpd 8f"
  expect_in "$(sg_inq "$disk")" '3PC=1' "sg_inq"
}

lba_status() {
  local shown
  within 120 blkdiscard "$disk" || die "blkdiscard"
  dd if=/dev/urandom of="$disk" bs=1M seek=8 count=1 oflag=direct status=none
  shown=$(sg_get_lba_status --16 --lba=0 --maxlen=4096 "$disk" 2>/dev/null || sg_get_lba_status --lba=0 --maxlen=4096 "$disk")
  # Nothing up to 8 MiB, one MiB, nothing again.
  expect_in "$shown" 'LBA: 0x0+ .*blocks: +16384 +deallocated' "GET LBA STATUS, the hole before"
  expect_in "$shown" 'LBA: 0x0*4000 .*blocks: +2048 +mapped' "GET LBA STATUS, the data"
  expect_in "$shown" 'LBA: 0x0*4800 .*deallocated' "GET LBA STATUS, the hole behind"
}

reports() {
  local shown page
  shown=$(sg_vpd "$disk")
  expect_in "$shown" 'Extended inquiry data' "the list of VPD pages"
  for page in 0x86 0x87 0xb0 0xb1 0xb2; do
    within 60 sg_vpd -p $page "$disk" >"$FILES/vpd-$page.txt" || die "VPD page $page can't be read"
  done
  shown=$(sg_logs -a "$disk" 2>&1)
  printf '%s\n' "$shown" >"$FILES/logs.txt"
  expect_in "$shown" 'Non-medium error' "sg_logs -a"
  expect_in "$shown" 'Logical block provisioning|LB provisioning' "sg_logs -a"
  within 60 sg_senddiag --test "$disk" || die "SEND DIAGNOSTIC: the default self-test"
  expect_in "$(sg_opcodes -t "$disk" 2>&1)" 'Abort task' "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS"
  expect_in "$(sg_opcodes --rctd "$disk")" 'SANITIZE|Sanitize' "sg_opcodes with time-outs"
  within 60 sg_timestamp "$disk" || die "REPORT TIMESTAMP"
  expect_eq "$(scsi_sense "$disk" -r 8 37 00 08 00 00 00 00 00 08 00)" good "READ DEFECT DATA(10)"
  expect_eq "$(scsi_sense "$disk" -r 8 b7 08 00 00 00 00 00 00 00 08 00 00)" good "READ DEFECT DATA(12)"
  within 60 sg_prevent --allow "$disk" || die "PREVENT ALLOW MEDIUM REMOVAL"
}

# control_page BYTE-2 BYTE-4: sets these bytes of the control mode page. Not by sg_wr_mode, which opens the disk for writing: the
# kernel refuses that while SWP is set.
control_page() {
  expect_eq "$(scsi_sense "$disk" -s 16 -i <(printf '\0\0\0\0\x0a\x0a\x'"$1"'\x10\x'"$2"'\x40\0\0\xff\xff\0\0') 15 10 00 00 10 00)" good \
    "MODE SELECT(6) of the control page"
}

# D_SENSE: sense data in descriptor format, and what the tools make of it.
descriptor_sense() {
  expect_in "$(sg_modes -p 0xa "$disk")" '^ 00 +0a 0a' "the control page"
  control_page 06 00
  expect_sense "illegal request / logical block address out of range" "$disk" -r 512 28 00 7f ff ff ff 00 00 01 00
  expect_in "$(sg_raw -R -r 512 "$disk" 28 00 7f ff ff ff 00 00 01 00 2>&1 || true)" 'Descriptor format' "sense data with D_SENSE"
  # SWP: writes are refused, reads are not.
  control_page 02 08
  expect_sense "data protect" "$disk" -s 512 -i "$in" 2a 00 "$(lba10 0)" 00 00 01 00
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 "$(lba10 0)" 00 00 01 00)" good "READ(10) with SWP"
  control_page 02 00
  echo 1 >"/sys/block/${disk#/dev/}/device/rescan" # the kernel has taken the disk for read-only
  expect_eq "$(scsi_sense "$disk" -s 512 -i "$in" 2a 00 "$(lba10 0)" 00 00 01 00)" good "WRITE(10) after SWP"
}

ready() { sg_turs "$disk" >/dev/null 2>&1; }

sanitize() {
  dd if=/dev/urandom of="$disk" bs=1M count=16 oflag=direct status=none
  within 120 sg_sanitize --overwrite --zero --quick --wait "$disk" || die "SANITIZE, overwrite"
  wait_until 120 ready || die "the LUN does not become ready again"
  [ -z "$(dd if=/scratch/d0.raw iflag=direct bs=1M status=none | tr -d '\0' | head -c 1)" ] || die "SANITIZE left data in the backing file"
  dd if=/dev/urandom of="$disk" bs=1M count=16 oflag=direct status=none
  within 120 sg_sanitize --block --quick "$disk" || die "SANITIZE, block erase"
  wait_until 120 ready || die "the LUN does not become ready again"
  [ -z "$(dd if="$disk" iflag=direct bs=1M status=none | tr -d '\0' | head -c 1)" ] || die "SANITIZE BLOCK ERASE left data"
  # Nobody holds a key, so there is nothing to throw away.
  expect_sense "illegal request" "$disk" 48 03 00 00 00 00 00 00 00 00
  dd if=/dev/urandom of="$disk" bs=1M count=16 oflag=direct status=none
  within 120 sg_format --format --quick --wait "$disk" >"$FILES/format.txt" 2>&1 || die "FORMAT UNIT: see format.txt"
  wait_until 120 ready || die "the LUN does not become ready again"
  [ -z "$(dd if="$disk" iflag=direct bs=1M status=none | tr -d '\0' | head -c 1)" ] || die "FORMAT UNIT left data"
}

start_supervisor
make_backing /scratch/d0.raw 64M
create_lun file d0 64M /scratch/d0.raw
disk=$(loopback_lun d0)
for part in verifying compare_and_write or_and_atomic_writes copying lba_status reports descriptor_sense sanitize; do
  say "== $part"
  "$part"
done
expect_eq "$(property d0 Restarts)" 0 "hosts that had to be replaced"
delete_lun d0
expect_nothing_left
