#!/usr/bin/env bash
# A LUN by iSCSI, as storage hosts export it: the kernel's initiator logs in, xfs keeps its data while the LUN's host is
# killed, and the tests of libiscsi's suite for the commands that every initiator needs pass, each run alone.
# timeout: 900
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/conformance.sh

# What initiators of Linux, Windows and ESXi do first and most. The whole suite is another scenario's business.
readonly FAMILIES='SCSI\.(Inquiry|Mandatory|ModeSense6|Read6|Read10|Read12|Read16|ReadCapacity10|ReadCapacity16|TestUnitReady|Unmap|Write10|Write12|Write16|WriteSame10|WriteSame16)\.'
# Tests that skip themselves on a disk that refuses WRITE SAME of no blocks (WSNZ in VPD page B0h).
readonly NOT_FOR_US='^SCSI\.WriteSame1[06]\.ZeroBlocks$'

disk_of_session() { # the disk of the iSCSI session
  local place
  for place in /sys/class/iscsi_session/session*/device/target*/*/block/sd*; do
    [ -b "/dev/${place##*/}" ] && printf '/dev/%s\n' "${place##*/}" && return 0
  done
  return 1
}

by_the_kernels_initiator() {
  local disk sum host
  say "== logged in by open-iscsi"
  systemctl unmask --quiet --runtime iscsid.service iscsid.socket 2>/dev/null || true
  modprobe iscsi_tcp
  [ -e /etc/iscsi/initiatorname.iscsi ] || printf 'InitiatorName=%s:initiator\n' "$ISCSI_PREFIX" >/etc/iscsi/initiatorname.iscsi
  pgrep -x iscsid >/dev/null || iscsid
  within 60 iscsiadm -m discovery -t sendtargets -p 127.0.0.1 || die "the target is not found"
  within 60 iscsiadm -m node -T "$ISCSI_PREFIX:i0" -p 127.0.0.1 --login || die "login failed"
  wait_until 60 disk_of_session
  disk=$(disk_of_session)
  mkfs.xfs -q -f "$disk"
  mkdir -p /mnt/i0
  mount "$disk" /mnt/i0
  dd if=/dev/urandom of=/mnt/i0/data bs=1M count=24 conv=fsync status=none
  sum=$(sha256sum </mnt/i0/data)
  host=$(host_pid i0)
  dd if=/dev/urandom of=/mnt/i0/more bs=64k count=256 conv=fsync oflag=direct status=none &
  kill -9 "$host"
  wait "$!" || die "writing while the host was killed failed"
  [ "$(host_pid i0)" != "$host" ] || die "the host was not replaced"
  echo 3 >/proc/sys/vm/drop_caches
  expect_eq "$(sha256sum </mnt/i0/data)" "$sum" "checksum after the host's death"
  fstrim /mnt/i0 || die "fstrim failed"
  umount /mnt/i0
  xfs_repair -n "$disk" >"$FILES/xfs_repair.txt" 2>&1 || die "xfs is damaged: $(cat "$FILES/xfs_repair.txt")"
  within 60 iscsiadm -m node -T "$ISCSI_PREFIX:i0" -p 127.0.0.1 --logout
  within 60 iscsiadm -m node -o delete -T "$ISCSI_PREFIX:i0" || true
  iscsiadm -k 0 || true
}

by_libiscsi() {
  local name result bad=0
  say "== libiscsi's tests"
  while read -r name; do
    result=$(conformance_test "$name" "$1")
    printf '%s\t%s\n' "$name" "$result" | tee -a "$FILES/conformance.tsv"
    [[ $result == pass* || $name =~ $NOT_FOR_US ]] || bad=$((bad + 1))
  done < <(conformance_families | grep -E "$FAMILIES")
  record "conformance tests" "$(wc -l <"$FILES/conformance.tsv")" tests
  [ "$bad" = 0 ] || die "$bad of libiscsi's tests did not pass: $(grep -vP '\tpass\t' "$FILES/conformance.tsv" | cut -f1 | paste -sd' ')"
}

mkdir -p /etc/rtslib-fb-target/pr
start_supervisor
make_backing /scratch/i0.raw 512M
create_lun file i0 512M /scratch/i0.raw
url=$(iscsi_export i0)
by_the_kernels_initiator
by_libiscsi "$url"
clear_targets
expect_nothing_left
