#!/usr/bin/env bash
# Reads past the page cache that the supervisor does itself, by an I/O grant of the host: of two disks, whatever shares their
# pump, and of a file once it has a pump for itself. Verified load all the time; hosts are killed, and the supervisor with reads
# under way. Writes stay with the host.
# run: once
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/load.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh
source /usr/lib/bulkhead-guest/helpers/grants.sh

readonly LUNS=(one two file)

reads_go_on() { # reads_go_on NAME...: by grant, now
  local name
  for name; do goes_on "$name" read; done
}

start_supervisor
for name in "${LUNS[@]}"; do dd if=/dev/zero of="/scratch/$name.raw" bs=1M count=64 conv=fsync status=none; done
create_lun file one 64M "$(losetup -f --show /scratch/one.raw)"
create_lun file two 64M "$(losetup -f --show /scratch/two.raw)"
create_lun file file 64M "/scratch/file.raw?direct=on"
journal_has "67108864 bytes, direct I/O, io_uring, read-write" || die "disks are not served past the page cache"
for name in one two; do
  expect_grant $name "granted; reads alone: past"
done
expect_grant file "granted; reads alone, while no other LUN shares"
for name in "${LUNS[@]}"; do load_start "$name" "$(loopback_lun "$name")" --iodepth=8 --rate_iops=100,100; done
reads_go_on one two

say "== hosts die"
kill -9 "$(property one HostPid)" "$(property two HostPid)"
wait_until 60 property_over one Restarts 0
reads_go_on one two

say "== the supervisor dies with reads under way"
supervisor_dies one
reads_go_on one two

say "== switched off, and on again; and weighed, which a grant would escape"
configure 'io_grants = off'
expect_grant one off
configure 'host_io_weight = 50'
expect_grant one "none: tcmu.conf has a host_io_weight"
configure '# nothing'
reads_go_on one two

load_stop one
load_stop two
expect_eq "$(granted one write)" 0 "writes by grant past the page cache"
record "one by grant" "$(property one GrantedCommands)"
record "one latency" "$(property one LatencyUsec)"

say "== the file has a pump for itself"
delete_lun one
delete_lun two
reads_go_on file
load_stop file
record "file by grant" "$(property file GrantedCommands)"
delete_lun file
stop_supervisor
