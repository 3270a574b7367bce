#!/usr/bin/env bash
# What the scenario before has left is gone.
# peer: tcmu-runner
# verdict: pass
source /usr/lib/bulkhead-guest/lib.sh
expect_eq "$(pgrep -fc 'sleep 1000' || true)" 0 "left processes"
! systemctl is-active --quiet left-service || die "a left service still runs"
! systemctl is-active --quiet "$PEER" || die "the peer still runs"
expect_eq "$(systemctl is-enabled rtslib-fb-targetctl.service || true)" masked "a unit that was unmasked"
[ ! -e /etc/tcmu/tcmu.conf ] || die "changed configuration is still there"
[ ! -e /scratch/left.raw ] || die "/scratch was not emptied"
! mountpoint -q /mnt/left || die "a LUN is still mounted"
[ ! -d /sys/module/target_core_user ] || die "target_core_user is still loaded"
