#!/usr/bin/env bash
# Commands that the supervisor does itself, by an I/O grant of the host: on a file in memory, and through the page cache of a
# disk. Verified load all the time: hosts are killed, the supervisor is, grants are switched off and on, the LUN grows. What an
# initiator changes for everybody (write protection, the write cache) counts for what is done by grant at once.
# run: once
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/load.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh
source /usr/lib/bulkhead-guest/helpers/grants.sh

set_attribute() { write_errno "$(device_of "$1")/attrib/$2" "$3"; } # set_attribute NAME ATTRIBUTE VALUE: "0" or the errno

start_supervisor
mkdir -p /ram && mount -t tmpfs -o size=200M none /ram
make_backing /ram/memory.raw 64M
dd if=/dev/zero of=/scratch/cached.raw bs=1M count=64 status=none
create_lun file memory 64M /ram/memory.raw
create_lun file cached 64M "/scratch/cached.raw?direct=off"
memory=$(loopback_lun memory)
cached=$(loopback_lun cached)
expect_grant memory granted
expect_grant cached granted
load_start memory "$memory" --iodepth=4 --rate_iops=100,100 --fsync=8
load_start cached "$cached" --iodepth=4 --rate_iops=100,100
goes_on memory read write flush
goes_on cached read

say "== a host dies"
kill -9 "$(property memory HostPid)" "$(property cached HostPid)"
wait_until 60 property_over memory Restarts 0
goes_on memory read write flush
goes_on cached read

say "== the supervisor dies"
supervisor_dies memory
goes_on memory read write flush
goes_on cached read

say "== switched off, and on again"
configure 'io_grants = off'
expect_grant memory off
still=$(granted memory read)
answered=$(answered memory)
wait_until 60 answered_over memory $((answered + 100))
expect_eq "$(granted memory read)" "$still" "reads by grant while that is off"
configure '[user_0/memory]' 'io_grants = on'
goes_on memory read write flush

say "== the administrator switches the write cache"
expect_eq "$(set_attribute memory emulate_write_cache 1)" 0 "cache on"
expect_eq "$(set_attribute memory emulate_write_cache 0)" 0 "cache off"
goes_on memory read
writes=$(granted memory write)
answered=$(property memory Commands | jq .write)
writes_over() { [ "$(property memory Commands | jq .write)" -gt "$1" ]; }
wait_until 60 writes_over $((answered + 50))
expect_eq "$(granted memory write)" "$writes" "writes by grant without a write cache"
expect_eq "$(set_attribute memory emulate_write_cache 1)" 0 "cache on again"
goes_on memory write

load_stop memory
load_stop cached

say "== an initiator protects the medium"
block=$(mktemp)
head -c 512 /dev/zero >"$block"
write_block() { scsi_sense "$memory" -s 512 -i "$block" 2a 00 00 00 00 08 00 00 01 00; }
protect() { # protect BYTE: byte 4 of the control mode page, where SWP is
  expect_eq "$(scsi_sense "$memory" -s 16 -i <(printf '\0\0\0\0\x0a\x0a\x02\x10%b\x40\0\0\xff\xff\0\0' "\x$1") 15 10 00 00 10 00)" good \
    "MODE SELECT(6) of the control page"
}
writes=$(granted memory write)
expect_eq "$(write_block)" good "WRITE(10)"
expect_eq "$(granted memory write)" $((writes + 1)) "writes by grant"
flush() { scsi_sense "$1" 35 00 00 00 00 00 00 00 00 00; } # flush DISK: all of it
flushes=$(granted memory flush)
expect_eq "$(flush "$memory")" good "SYNCHRONIZE CACHE(10) of a file in memory"
expect_eq "$(granted memory flush)" $((flushes + 1)) "flushes by grant of a file in memory"
expect_eq "$(flush "$cached")" good "SYNCHRONIZE CACHE(10) of a disk's file"
expect_eq "$(granted cached flush)" 0 "flushes by grant of a disk's file"
protect 08
expect_sense "data protect" "$memory" -s 512 -i "$block" 2a 00 00 00 00 08 00 00 01 00
expect_eq "$(granted memory write)" $((writes + 1)) "writes by grant to a protected medium"
expect_eq "$(flush "$memory")" good "SYNCHRONIZE CACHE(10) of a protected medium"
expect_eq "$(granted memory flush)" $((flushes + 1)) "flushes by grant of a protected medium"
protect 00
expect_eq "$(write_block)" good "WRITE(10) to the medium that is protected no more"
expect_eq "$(granted memory write)" $((writes + 2)) "writes by grant after that"

say "== the LUN grows"
truncate -s 128M /ram/memory.raw
expect_eq "$(set_attribute memory dev_size $((128 << 20)))" 0 "resizing"
read_last() { scsi_sense "$memory" -r 512 28 00 00 03 ff ff 00 00 01 00; }
can_read_last() { [ "$(read_last)" = good ]; } # not the first time: that tells of the new capacity
wait_until 30 can_read_last || die "the last block is answered $(read_last)"
reads=$(granted memory read)
expect_eq "$(read_last)" good "the last block"
expect_eq "$(granted memory read)" $((reads + 1)) "reads by grant of the last block"

record "memory by grant" "$(property memory GrantedCommands)"
record "cached by grant" "$(property cached GrantedCommands)"
tcmuctl show memory
delete_lun memory
delete_lun cached
stop_supervisor
