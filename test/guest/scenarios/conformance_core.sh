#!/usr/bin/env bash
# The part of libiscsi's suite that tells most for its time: of each command one length, and what goes wrong most easily. The
# rest is scenario conformance.
# timeout: 1200
# run: by-name
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/conformance.sh

readonly COMMANDS='CompareAndWrite|ExtendedCopy|GetLBAStatus|Inquiry|Mandatory|ModeSense6|MultipathIO|Prefetch16|ReadCapacity16'
readonly MORE='ReceiveCopyResults|ReportSupportedOpcodes|ReadOnly|Unmap|Verify16|Write10|WriteAtomic16|WriteVerify16'
# Of two families all but OrWrite.Verify and WriteSame16.Unmap, which took an eighth of the scenario's time.
readonly PARTS='OrWrite\.(BeyondEol|DpoFua|Protect|Simple|ZeroBlocks)$|WriteSame16\.(UnmapU|UnmapV|[A-TV-Z])'

conformance_scenario "^SCSI\.($COMMANDS|$MORE)\.|^SCSI\.($PARTS)|^SCSI\.Sanitize\.(BlockErase|ExitFailureMode|Overwrite|Readonly)$"
