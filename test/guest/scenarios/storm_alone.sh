#!/usr/bin/env bash
# The storm over one LUN beside one bystander, so that each has a pump for itself and I/O grants do what they can. What they did
# is recorded. STORM_SECONDS=N lasts longer; test/guest/helpers/speed.sh tells of other ways to serve.
# run: by-name
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh

# shellcheck disable=SC2034  # storm.sh's
STORM_LUNS=(s0) FIO_LUNS=() CALM_LUNS=(c0)
storm_pass 5 "${STORM_SECONDS:-60}" 100
