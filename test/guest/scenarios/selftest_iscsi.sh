#!/usr/bin/env bash
# The testbed itself: a kernel fileio LUN is exported by iSCSI, and an initiator in user space reads and writes it.
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh

make_backing /scratch/i0.raw 64M
targetcli_run /backstores/fileio create name=i0 file_or_dev=/scratch/i0.raw write_back=false
url=$(iscsi_export i0)
say "the LUN is $url"
expect_eq "$(within 60 iscsi-readcapacity16 -s "$url")" $((64 << 20)) "size seen by the initiator"
within 120 iscsi-test-cu --dataloss --test=SCSI.Write10.Simple "$url"
clear_targets
[ -z "$(ls -A "$TARGET"/core/fileio_* 2>/dev/null)" ] || die "clear_targets left a storage object"
