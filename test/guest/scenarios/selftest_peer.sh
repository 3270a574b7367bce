#!/usr/bin/env bash
# The testbed itself: Debian's tcmu-runner, brought along as the peer of comparisons, serves a user:qcow LUN.
# run: by-name
# peer: tcmu-runner
source /usr/lib/bulkhead-guest/lib.sh

start_peer_runner
make_backing /scratch/q0.raw 128M
create_lun qcow q0 128M /scratch/q0.raw
disk=$(loopback_lun q0)
say "the LUN is $disk"
expect_eq "$(blockdev --getsize64 "$disk")" $((128 << 20)) "size of the disk"

within 180 fio --name=verify --filename="$disk" --rw=randwrite --bs=4k --size=2M --direct=1 --verify=crc32c \
  --ioengine=libaio --iodepth=4 --output-format=json --output="$FILES/fio.json"
record peer_write_iops "$(jq '.jobs[0].write.iops' "$FILES/fio.json")" 1/s

delete_lun q0
stop_peer_runner
