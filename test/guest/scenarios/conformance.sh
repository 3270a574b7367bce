#!/usr/bin/env bash
# Every test of libiscsi's suite (the families SCSI and iSCSI), each run alone against a file LUN by iSCSI. The verdicts must
# be those of helpers/conformance.tsv, better ones too: then the list is to be changed.
# timeout: 2400
# scratch: 6G
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/conformance.sh

mkdir -p /etc/rtslib-fb-target/pr # for persistent reservations that outlive a power cut
start_supervisor

fresh_lun() { # fresh_lun SIZE [OPTIONS]
  clear_targets >&2
  rm -f /scratch/c0.raw
  make_backing /scratch/c0.raw "$1"
  create_lun file c0 "$1" "/scratch/c0.raw${2:-}" >&2
  iscsi_export c0
}

conformance_run "$FILES/conformance.tsv"
! journal_has 'handler-host (killed|dumped|exited|ended|broke)' || die "a test ended the LUN's host: see journal.txt"
for verdict in pass skip fail; do
  record "conformance $verdict" "$(conformance_count "$verdict" "$FILES/conformance.tsv")" tests
done
conformance_compare "$FILES/conformance.tsv" || die "other verdicts than expected; see above"
clear_targets
expect_nothing_left
