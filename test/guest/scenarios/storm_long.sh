#!/usr/bin/env bash
# The storm for ten minutes, beside a calm minute. STORM_SEED=N repeats a sequence, STORM_SECONDS=N (up to 1800) takes another time.
# run: by-name
# timeout: 2400
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh

SPEED_BACKING=${SPEED_BACKING:-mixed}
storm_pass 60 "${STORM_SECONDS:-600}" 20
deaths_hit_commands
