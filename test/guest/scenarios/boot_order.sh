#!/usr/bin/env bash
# Stop and boot order with LUNs of our own and unmodified targetctl. Stopped, the kernel waits for nobody: `targetctl clear` and
# `restore` end, and the start serves what was restored meanwhile. Killed and kept from coming back, own-disks lets go of the
# disks. Reboots with a file system mounted on an own LUN, served and not, restored at boot, end in bounded time, and what was
# written is there.
# timeout: 900
# run: by-name
# boot: own
# expect-kernel: I/O error|Buffered I/O error|EXT4-fs|JBD2|rejecting I/O to offline device|Synchronize Cache.* failed|Sense Key|Add. Sense -- a disk that nobody serves is set offline on purpose
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

readonly OWN_DISKS=/usr/lib/tcmu-bulkhead/own-disks
readonly MOST=90 # seconds, each

timed() { # timed WHAT COMMAND...: ends, within bounded time, with success
  local began what=$1
  began=$(date +%s%N)
  shift
  within $MOST "$@" >&2 || die "$what: \"$*\" failed or took too long (status $?)"
  record "$what" $((($(date +%s%N) - began) / 1000000)) ms
}
since_boot() { cut -d. -f1 /proc/uptime; }
both_serve() {
  wait_state d0 serving
  wait_state d1 serving
}
# The clock stands still for nobody: when the reboot was asked for.
leave_for() {
  date +%s >/scratch/left
  reboot_into "$1"
}
arrived() { # arrived WHAT
  local took=$(($(date +%s) - $(cat /scratch/left) - $(since_boot)))
  record "$1" "$took" s
  [ "$took" -le "$(deadline $MOST)" ] || die "$1 took $took s"
}

case $PHASE in
  start)
    start_supervisor
    for lun in d0 d1; do
      make_backing "/scratch/$lun.raw" 64M
      create_lun file "$lun" 64M "/scratch/$lun.raw"
    done
    iscsi_export d1 >/dev/null
    targetctl save >/dev/null

    say "== stopped: clear, restore, clear, restore; then start beside it"
    stop_supervisor
    for _ in 1 2; do
      timed "stopped: targetctl clear" targetctl clear
      timed "stopped: targetctl restore" targetctl restore
      { device_enabled d0 && device_enabled d1; } || die "targetctl restore made no devices while the daemon was stopped"
    done
    start_supervisor
    both_serve

    say "== a disk of this machine, and the supervisor is killed for good"
    disk=$(loopback_lun d0)
    mkfs.ext4 -q "$disk"
    mkdir -p /mnt/own
    mount "$disk" /mnt/own
    echo kept >/mnt/own/kept
    sync -f /mnt/own
    kill_for_good
    timed "killed: own-disks" "$OWN_DISKS"
    ! mountpoint -q /mnt/own || die "the file system is still mounted"
    timed "killed: targetctl clear" targetctl clear
    start_again
    # The guest has it masked.
    systemctl unmask --quiet rtslib-fb-targetctl.service
    systemctl enable --quiet "$SUPERVISOR" rtslib-fb-targetctl.service
    timed "served: targetctl restore" systemctl start rtslib-fb-targetctl.service
    both_serve
    disk=$(loopback_lun d0)
    targetctl save >/dev/null
    mount "$disk" /mnt/own
    expect_eq "$(cat /mnt/own/kept)" kept "what was written before"

    say "== reboot with the file system mounted; targets are restored at boot"
    systemctl is-active --quiet tcmu-own-disks.service || die "tcmu-own-disks.service was not started with the supervisor"
    head -c 8M /dev/urandom >/mnt/own/data
    sha256sum </mnt/own/data >/scratch/sum
    leave_for restored
    ;;
  restored)
    arrived "reboot: mounted, served, restored by rtslib"
    wait_until 120 bus_name_owned
    both_serve
    disk=$(loopback_lun d0)
    within 60 e2fsck -fn "$disk" >"$FILES/e2fsck.txt" 2>&1 || die "the file system was not unmounted: see e2fsck.txt"
    mkdir -p /mnt/own
    mount "$disk" /mnt/own
    expect_eq "$(sha256sum </mnt/own/data)" "$(cat /scratch/sum)" "what was written, never flushed by hand, before the reboot"

    say "== reboot with targets that nobody takes down"
    systemctl disable --quiet rtslib-fb-targetctl.service
    # As if it had never been started: its stop would clear the targets.
    systemctl kill --signal=KILL rtslib-fb-targetctl.service 2>/dev/null || true
    mkdir -p /run/systemd/system/rtslib-fb-targetctl.service.d
    printf '[Service]\nExecStop=\n' >/run/systemd/system/rtslib-fb-targetctl.service.d/never-clear.conf
    systemctl daemon-reload
    head -c 8M /dev/urandom >/mnt/own/data
    sha256sum </mnt/own/data >/scratch/sum
    leave_for byhand
    ;;
  byhand)
    arrived "reboot: mounted, served, never taken down"
    wait_until 120 bus_name_owned
    timed "served: targetctl restore" targetctl restore
    both_serve
    disk=$(loopback_lun d0)
    mkdir -p /mnt/own
    mount "$disk" /mnt/own
    expect_eq "$(sha256sum </mnt/own/data)" "$(cat /scratch/sum)" "what was written before the second reboot"

    say "== reboot after the supervisor was killed for good"
    sync -f /mnt/own
    kill_for_good
    leave_for killed
    ;;
  killed)
    arrived "reboot: mounted, killed and masked"
    wait_until 120 bus_name_owned
    timed "served: targetctl restore" targetctl restore
    both_serve
    disk=$(loopback_lun d0)
    mkdir -p /mnt/own
    mount "$disk" /mnt/own
    expect_eq "$(sha256sum </mnt/own/data)" "$(cat /scratch/sum)" "what was flushed before the third reboot"
    umount /mnt/own
    timed "served: targetctl clear" targetctl clear
    expect_nothing_left
    ;;
esac
