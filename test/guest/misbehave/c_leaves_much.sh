#!/usr/bin/env bash
# A scenario that passes but tidies nothing: processes, a mounted LUN in use, a service, changed configuration.
# peer: tcmu-runner
# verdict: pass
source /usr/lib/bulkhead-guest/lib.sh
start_peer_runner
make_backing /scratch/left.raw 64M
create_lun qcow left 64M /scratch/left.raw
disk=$(loopback_lun left)
mkfs.ext4 -q "$disk"
mkdir -p /mnt/left
mount "$disk" /mnt/left
setsid sleep 1000 </mnt/left >/dev/null 2>&1 &
systemd-run --quiet --unit=left-service tail -f /dev/null
echo 'log_level = 4' >/etc/tcmu/tcmu.conf
systemctl unmask rtslib-fb-targetctl.service
