#!/usr/bin/env bash
# A LUN changes while it is in use: size up and down under verified load (the initiator hears CAPACITY DATA HAS CHANGED and
# sees the new size), another file, another write cache mode. What can't be done is refused with an errno and changes nothing;
# what changes nothing is no error, so that saved configuration is restored without a word.
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/load.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

readonly MIB=$((1 << 20))
export TARGETCLI_HOME=/root/.targetcli

# set_attribute NAME ATTRIBUTE VALUE: "0" or the errno.
set_attribute() { write_errno "$(device_of "$1")/attrib/$2" "$3"; }
attribute() { cat "$(device_of "$1")/attrib/$2"; }

rescanned_size() { # rescanned_size DISK
  echo 1 >"/sys/block/${1#/dev/}/device/rescan"
  blockdev --getsize64 "$1"
}
size_after_rescan_is() { [ "$(rescanned_size "$1")" = "$2" ]; }
# The initiator's kernel has taken note of so many changes of the capacity.
capacity_changes() { dmesg | grep -c "sd .*: Capacity data has changed" || true; }
changes_noticed() { [ "$(capacity_changes)" -gt "$1" ]; }

resize() {
  local disk=$1 before size host
  host=$(property d0 HostPid)
  for size in 128 96 127 64; do
    before=$(capacity_changes)
    expect_eq "$(set_attribute d0 dev_size $((size * MIB)))" 0 "resizing to $size MiB under load"
    wait_until 30 changes_noticed "$before" || die "the initiator did not hear that the LUN has $size MiB"
    wait_until 30 size_after_rescan_is "$disk" $((size * MIB)) || die "the initiator does not see $size MiB"
    expect_eq "$(attribute d0 dev_size)" $((size * MIB)) "attrib/dev_size"
    expect_eq "$(property d0 Size)" $((size * MIB)) "Size on the bus"
    load_flows d0 "$disk"
  done
  # Beyond the new end there is nothing any more.
  expect_sense "illegal request / logical block address out of range" "$disk" -r 512 28 00 00 02 00 00 00 00 01 00

  say "== sizes that are not possible"
  before=$(capacity_changes)
  expect_eq "$(set_attribute d0 dev_size $((1024 * MIB)))" EINVAL "a size beyond the file's"
  wait_until 10 journal_has '/scratch/d0.raw has 134217728 bytes, the LUN 1073741824: .*truncate -s 1073741824' ||
    die "the journal does not name the remedy"
  expect_eq "$(set_attribute d0 dev_size $((64 * MIB + 1)))" EINVAL "a size between two blocks"
  expect_eq "$(set_attribute d0 dev_size 0)" EINVAL "no size"
  expect_eq "$(attribute d0 dev_size) $(property d0 Size)" "$((64 * MIB)) $((64 * MIB))" "sizes after refused ones"
  expect_eq "$(rescanned_size "$disk")" $((64 * MIB)) "the initiator's size after refused ones"
  # The remedy works.
  truncate -s $((1024 * MIB)) /scratch/d0.raw
  expect_eq "$(set_attribute d0 dev_size $((1024 * MIB)))" 0 "the same after the remedy"
  wait_until 30 size_after_rescan_is "$disk" $((1024 * MIB)) || die "the initiator does not see 1 GiB"
  expect_eq "$(set_attribute d0 dev_size $((1024 * MIB)))" 0 "the size it has"
  expect_eq "$(property d0 HostPid)" "$host" "the host, which need not be replaced for any of this"
  load_flows d0 "$disk"
}

# refused_config ERRNO PATTERN CONFIG: the LUN goes on with the old one, under load.
refused_config() {
  expect_eq "$(set_attribute d0 dev_config "$3")" "$1" "changing the configuration to $3"
  wait_until 10 journal_has "$2" || die "for $3 the journal has no line that matches: $2"
  wait_state d0 serving
  expect_eq "$(property d0 Config) $(attribute d0 dev_config)" "file//scratch/d0.raw file//scratch/d0.raw" "the configuration"
  load_flows d0 "$disk"
}

reconfigure() {
  local disk=$1 host
  host=$(property d0 HostPid)
  expect_eq "$(set_attribute d0 dev_config file//scratch/d0.raw)" 0 "the configuration it has"
  expect_eq "$(property d0 HostPid)" "$host" "the host after a change that is none"
  refused_config ENOENT '/scratch/none.raw does not exist' file//scratch/none.raw
  refused_config EINVAL 'unknown option' 'file//scratch/d0.raw?colour=red'
  refused_config EINVAL 'is for another handler' null/
  refused_config EINVAL 'has 1048576 bytes, the LUN' file//scratch/small.raw
}

# The change that brings a LUN back whose image was moved.
moved_image() {
  local disk
  say "== an image that was moved"
  make_backing /scratch/here.raw 64M
  create_lun file moved 64M /scratch/here.raw
  disk=$(loopback_lun moved)
  dd if=/dev/urandom of="$disk" oflag=direct bs=4096 count=1 status=none
  mv /scratch/here.raw /scratch/there.raw
  kill -9 "$(property moved HostPid)"
  wait_until 60 property_matches moved StateReason '/scratch/here.raw does not exist' || die "it is not missed: $(tcmuctl show moved)"
  expect_eq "$(set_attribute moved dev_config file//scratch/nowhere.raw)" ENOENT "changing to a file that is not there either"
  expect_eq "$(property moved Config)" file//scratch/here.raw "Config after that"
  expect_eq "$(set_attribute moved dev_config file//scratch/there.raw)" 0 "changing to where it is now"
  wait_state moved serving
  expect_eq "$(property moved Config)" file//scratch/there.raw "Config on the bus"
  cmp -n 4096 "$disk" /scratch/there.raw || die "the image's data is not the LUN's"
  delete_lun moved
}

another_file() {
  local disk
  say "== another file"
  head -c 4096 /dev/urandom >/scratch/one.raw
  head -c 4096 /dev/urandom >/scratch/two,a.raw
  truncate -s 64M /scratch/one.raw /scratch/two,a.raw
  create_lun file swap 64M /scratch/one.raw
  disk=$(loopback_lun swap)
  first_block() { dd if="$disk" iflag=direct bs=4096 count=1 status=none | sha256sum; }
  expect_eq "$(first_block)" "$(head -c 4096 /scratch/one.raw | sha256sum)" "the first block of the first file"
  # A comma is possible here, unlike in the control file.
  expect_eq "$(set_attribute swap dev_config file//scratch/two,a.raw)" 0 "changing to another file"
  expect_eq "$(first_block)" "$(head -c 4096 /scratch/two,a.raw | sha256sum)" "the first block after the change"
  expect_eq "$(property swap Config)" file//scratch/two,a.raw "Config on the bus"
  dd if=/dev/urandom of="$disk" oflag=direct bs=4096 count=1 status=none
  expect_eq "$(first_block)" "$(head -c 4096 /scratch/two,a.raw | sha256sum)" "what was written after the change"
  # The first file is nobody's now, and the next daemon knows the second one.
  expect_eq "$(fuser /scratch/one.raw 2>/dev/null || true)" "" "processes that have the first file open"
  within 180 systemctl restart "$SUPERVISOR"
  wait_state swap serving
  expect_eq "$(property swap Config)" file//scratch/two,a.raw "Config after a restart of the supervisor"
  expect_eq "$(first_block)" "$(head -c 4096 /scratch/two,a.raw | sha256sum)" "the first block after a restart"
  delete_lun swap
}

caching() { sg_modes -p 8 "$1" | sed -nE 's/^ 00 +08 12 (..).*/\1/p'; }
cache_type() { cat /sys/block/"${1#/dev/}"/device/scsi_disk/*/cache_type; }

write_cache() {
  local disk=$1 host
  say "== write cache"
  host=$(property d0 HostPid)
  expect_eq "$(caching "$disk") $(property d0 WriteCache)" "04 true" "WCE at first"
  # The kernel's attribute is 0 for every new TCMU device and tells nothing, so 0 changes nothing yet.
  expect_eq "$(set_attribute d0 emulate_write_cache 0)" 0 "the value it has"
  expect_eq "$(caching "$disk")" 04 "WCE after a change that is none"
  expect_eq "$(set_attribute d0 emulate_write_cache 1)" 0 "switching the write cache on"
  expect_eq "$(caching "$disk")" 04 "WCE after switching on"
  expect_eq "$(set_attribute d0 emulate_write_cache 0)" 0 "switching the write cache off"
  expect_eq "$(caching "$disk") $(property d0 WriteCache)" "00 false" "WCE after switching off"
  # Whichever command comes first is told; the kernel logs it.
  wait_until 10 journal_has 'Mode parameters changed' || die "no unit attention tells initiators of it"
  echo 1 >"/sys/block/${disk#/dev/}/device/rescan"
  expect_eq "$(cache_type "$disk")" "write through" "what the initiator makes of it"
  expect_eq "$(set_attribute d0 emulate_write_cache 1)" 0 "switching it on again"
  expect_eq "$(caching "$disk") $(property d0 WriteCache)" "04 true" "WCE after switching on again"
  expect_eq "$(property d0 HostPid)" "$host" "the host"
}

# What the configuration says counts again once it says something else; an initiator's kernel hears of it.
write_cache_of_configuration() {
  local disk=$1 changes
  mode_changes() { dmesg | grep -c "Mode parameters changed" || true; }
  more_mode_changes() { [ "$(mode_changes)" -gt "$1" ]; }
  expect_eq "$(set_attribute d0 dev_config 'file//scratch/d0.raw?write_cache=off')" 0 "a configuration without a cache"
  expect_eq "$(caching "$disk") $(property d0 WriteCache)" "00 false" "WCE of a configuration without a cache"
  # A host that tells of something else has told that nobody switched the cache.
  expect_eq "$(set_attribute d0 dev_size $((512 * MIB)))" 0 "another size meanwhile"
  expect_eq "$(set_attribute d0 dev_size $((1024 * MIB)))" 0 "the size before"
  changes=$(mode_changes)
  expect_eq "$(set_attribute d0 dev_config file//scratch/d0.raw)" 0 "the configuration before"
  load_flows d0 "$disk"
  wait_until 10 more_mode_changes "$changes" || die "no unit attention tells initiators that there is a cache again"
  expect_eq "$(caching "$disk") $(property d0 WriteCache)" "04 true" "WCE of the configuration before"
}

# A switched cache stays switched when the host is replaced, and when the daemon is.
cache_survives() {
  local disk=$1 host
  expect_eq "$(set_attribute d0 emulate_write_cache 0)" 0 "switching the write cache off"
  host=$(property d0 HostPid)
  kill -9 "$host"
  wait_until 30 host_is_not d0 "$host"
  wait_state d0 serving
  expect_eq "$(caching "$disk") $(property d0 WriteCache)" "00 false" "WCE with the next host"
}

saved_configuration() {
  local said
  say "== save, clear, restore"
  within 120 targetctl save /root/saved.json || die "targetctl save"
  within 120 targetctl clear || die "targetctl clear"
  expect_nothing_left
  said=$(within 180 targetctl restore /root/saved.json 2>&1) || die "targetctl restore failed: $said"
  expect_eq "$said" "" "what targetctl restore has to say"
  wait_state d0 serving
  wait_state d1 serving
  expect_eq "$(property d0 Size)" $((1024 * MIB)) "size of the restored LUN"
  wait_until 30 property_is d0 WWN "$1" || die "serial of the restored LUN: $(property d0 WWN), before $1"
}

start_supervisor
make_backing /scratch/d0.raw 128M
make_backing /scratch/d1.raw 64M
make_backing /scratch/small.raw 1M
create_lun file d0 64M /scratch/d0.raw
create_lun file d1 64M /scratch/d1.raw
disk=$(loopback_lun d0)
load_start d0 "$disk"
load_flows d0 "$disk"
resize "$disk"
reconfigure "$disk"
write_cache "$disk"
write_cache_of_configuration "$disk"
cache_survives "$disk"
load_stop d0
another_file
moved_image
wait_until 30 property_matches d0 WWN '^[0-9a-f-]{36}$'
saved_configuration "$(property d0 WWN)"
