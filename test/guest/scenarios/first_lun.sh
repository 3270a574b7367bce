# The main job: two LUNs by unmodified targetcli, a file system on one, a host killed, everything removed.
# timeout: 300
source /usr/lib/bulkhead-guest/lib.sh
start_supervisor
make_backing /scratch/d0.raw 128M
create_lun file d0 128M /scratch/d0.raw
disk=$(loopback_lun d0)
say "disk $disk"
ps -eo pid,user,comm,args | grep tcmu || true
sg_inq "$disk"
mkfs.ext4 -q "$disk"
mkdir -p /mnt/d0; mount "$disk" /mnt/d0
dd if=/dev/urandom of=/mnt/d0/x bs=1M count=20 status=none; sync
sum=$(sha256sum </mnt/d0/x)
busctl tree org.kernel.TCMUService1 --no-pager
tcmuctl list || true
tcmuctl show d0 || true
pkill -9 -f 'tcmu-host: file/d0'
echo 3 >/proc/sys/vm/drop_caches
expect_eq "$(sha256sum </mnt/d0/x)" "$sum"
tcmuctl list || true
umount /mnt/d0
delete_lun d0
tcmuctl list || true
stop_supervisor
