#!/usr/bin/env bash
# Eight LUNs under load that is checked block by block, and for a minute and a half everything that serves them is killed,
# stopped, restarted at random: no acknowledged write is lost, no read goes back in time, no initiator sees an error. Prints what
# was done, and what bystanders noticed of it. STORM_SEED=N repeats a sequence, STORM_SECONDS=N (up to 600) lasts longer.
# run: by-name
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh

SPEED_BACKING=${SPEED_BACKING:-mixed}
storm_pass 15 "${STORM_SECONDS:-90}" 20
deaths_hit_commands
