#!/usr/bin/env bash
# The testbed itself: systemd is up with nothing failed, and the target's modules load and show in configfs.
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh

say "kernel $(uname -r), $(nproc) CPUs, up $(cut -d' ' -f1 /proc/uptime) s"

system_settled() { [[ $(systemctl is-system-running) =~ ^(running|degraded)$ ]]; }
wait_until 120 system_settled
expect_eq "$(systemctl --failed --plain --no-legend | wc -l)" 0 "failed units"

modprobe -a target_core_user tcm_loop
expect_eq "$(findmnt -no FSTYPE /sys/kernel/config)" configfs "file system of configfs"
[ -d "$TARGET/core" ] || die "no $TARGET/core after loading target_core_user"
[ -d /sys/module/target_core_user/parameters ] || die "target_core_user has no parameters"

touch /scratch/here
wait_until 30 test -e /scratch/here
expect_eq "$(findmnt -no FSTYPE /scratch)" ext4 "file system of /scratch"
