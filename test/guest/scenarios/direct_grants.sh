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

readonly LUNS=(one two file)

granted() { property "$1" GrantedCommands | jq ".$2"; } # granted NAME read|write
reads_over() { [ "$(granted "$1" read)" -gt "$2" ]; }
state_begins() { [[ $(property "$1" IoGrants) == "$2"* ]]; }
goes_on() { # goes_on NAME...: reads are done by grant, now
  local name
  for name; do
    wait_until 60 reads_over "$name" $(($(granted "$name" read) + 20)) || die "no read of $name is done by grant"
  done
}

start_supervisor
for name in "${LUNS[@]}"; do dd if=/dev/zero of="/scratch/$name.raw" bs=1M count=64 conv=fsync status=none; done
create_lun file one 64M "$(losetup -f --show /scratch/one.raw)"
create_lun file two 64M "$(losetup -f --show /scratch/two.raw)"
create_lun file file 64M "/scratch/file.raw?direct=on"
journal_has "67108864 bytes, direct I/O, io_uring, read-write" || die "disks are not served past the page cache"
for name in one two; do
  wait_until 30 state_begins $name "granted; reads alone: past" || die "$name: $(property $name IoGrants)"
done
wait_until 30 state_begins file "granted; reads alone, while no other LUN shares" || die "file: $(property file IoGrants)"
for name in "${LUNS[@]}"; do load_start "$name" "$(loopback_lun "$name")" --iodepth=8 --rate_iops=100,100; done
goes_on one two

say "== hosts die"
kill -9 "$(property one HostPid)" "$(property two HostPid)"
wait_until 60 property_over one Restarts 0
goes_on one two

say "== the supervisor dies with reads under way"
before=$(main_pid)
kill -9 "$before"
replaced() { [ "$(main_pid)" != "$before" ] && [ "$(main_pid)" != 0 ] && property_over one Adoptions 0; }
wait_until 60 replaced
goes_on one two

say "== switched off, and on again; and weighed, which a grant would escape"
configure 'io_grants = off'
wait_until 30 state_begins one off
configure 'host_io_weight = 50'
wait_until 30 state_begins one "none: tcmu.conf has a host_io_weight"
configure '# nothing'
goes_on one two

load_stop one
load_stop two
expect_eq "$(granted one write)" 0 "writes by grant past the page cache"
record "one by grant" "$(property one GrantedCommands)"
record "one latency" "$(property one LatencyUsec)"

say "== the file has a pump for itself"
delete_lun one
delete_lun two
goes_on file
load_stop file
record "file by grant" "$(property file GrantedCommands)"
delete_lun file
stop_supervisor
