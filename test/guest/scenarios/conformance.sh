#!/usr/bin/env bash
# Every test of libiscsi's suite (the families SCSI and iSCSI), each run alone against a file LUN by iSCSI. The verdicts must
# be those of helpers/conformance.tsv, better ones too: then the list is to be changed.
# timeout: 2400
# scratch: 6G
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/conformance.sh

conformance_scenario .
