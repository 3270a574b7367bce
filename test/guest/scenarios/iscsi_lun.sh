#!/usr/bin/env bash
# A LUN by iSCSI, as storage hosts export it: the kernel's initiator logs in, and xfs keeps its data while the LUN's host is
# killed.
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

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

mkdir -p /etc/rtslib-fb-target/pr
start_supervisor
make_backing /scratch/i0.raw 512M
create_lun file i0 512M /scratch/i0.raw
iscsi_export i0
by_the_kernels_initiator
clear_targets
expect_nothing_left
