#!/usr/bin/env bash
# A gentle storm for hours: hosts die under checked load, and every minute memory and descriptors of the supervisor and of the
# hosts are written down. The last quarter may not need more than the second one. SOAK_HOURS=N (default 24), and
# SOAK_ACTIONS="..." for other kinds of trouble (test/guest/helpers/killer.sh); docs/soak.md tells more.
# run: by-name
# boot: own
# timeout: 700000
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh
source /usr/lib/bulkhead-guest/helpers/soak.sh

HOURS=${SOAK_HOURS:-24}
# Not the supervisor's own death by default: each would hide what it has not given back.
read -ra ACTIONS <<<"${SOAK_ACTIONS:-host-kill host-segv host-abort host-term host-stop host-group-kill device-restart}"
# shellcheck disable=SC2034  # killer.sh's
STORM_PAUSE_MIN=2000 STORM_PAUSE_MAX=10000
seconds=$(awk -v h="$HOURS" 'BEGIN { printf "%d", h * 3600 }')
[ "$seconds" -ge 240 ] || die "SOAK_HOURS=$HOURS is too short to compare its quarters"

start_supervisor
storm_make file
loads_start 20
samples_start
storm_rage "$seconds" "${ACTIONS[@]}"
samples_stop
wait_until 120 all_serving || die "not every LUN is served: $(tcmuctl list)"
loads_stop
storm_table | tee "$FILES/table.md"
no_error_in_the_kernel_log
samples_table "$FILES/samples.tsv" | tee "$FILES/samples.md"
samples_flat "$FILES/samples.tsv"
storm_unmake
expect_nothing_left
