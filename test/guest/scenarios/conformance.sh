#!/usr/bin/env bash
# Every test of libiscsi's suite (the families SCSI and iSCSI), each run alone against a file LUN by iSCSI. The verdicts must
# be those of helpers/conformance.tsv, better ones too: then the list is to be changed.
# timeout: 2400
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/conformance.sh

mkdir -p /etc/rtslib-fb-target/pr # for persistent reservations that outlive a power cut
start_supervisor
make_backing /scratch/c0.raw 64M
create_lun file c0 64M /scratch/c0.raw
host=$(host_pid c0)
conformance_run "$(iscsi_export c0)" "$FILES/conformance.tsv"
expect_eq "$(host_pid c0)" "$host" "the host's process number: no test may have killed it"
for verdict in pass skip fail; do
  record "conformance $verdict" "$(conformance_count "$verdict" "$FILES/conformance.tsv")" tests
done
conformance_compare "$FILES/conformance.tsv" || die "other verdicts than expected; see above"
clear_targets
expect_nothing_left
