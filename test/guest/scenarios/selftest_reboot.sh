#!/usr/bin/env bash
# The testbed itself: a scenario goes on after a clean reboot and after a crash, with its disks as it left them.
# run: by-name
# timeout: 120
source /usr/lib/bulkhead-guest/lib.sh

case $PHASE in
  start)
    cat /proc/sys/kernel/random/boot_id >/scratch/first-boot
    echo kept >/root/kept
    reboot_into rebooted
    ;;
  rebooted)
    expect_eq "$(cat /root/kept)" kept "file on the root disk after a clean reboot"
    [ "$(cat /proc/sys/kernel/random/boot_id)" != "$(cat /scratch/first-boot)" ] || die "this is still the first boot"
    echo flushed >/scratch/flushed
    sync /scratch/flushed
    crash_into crashed
    ;;
  crashed)
    expect_eq "$(cat /scratch/flushed)" flushed "flushed file after a crash"
    ;;
esac
