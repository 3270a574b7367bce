#!/usr/bin/env bash
# The storm over one LUN beside one bystander, so that each has a pump for itself and I/O grants do what they can. What they did
# is recorded. STORM_SECONDS=N (up to 400) lasts longer; test/guest/helpers/speed.sh tells of other ways to serve.
# run: by-name
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh

# shellcheck disable=SC2034  # storm.sh's
STORM_LUNS=(s0) FIO_LUNS=() CALM_LUNS=(c0)
# Each death hits the same host: too soon after one another they would make a command look like poison.
# shellcheck disable=SC2034  # killer.sh's
STORM_PAUSE_MIN=1500 STORM_PAUSE_MAX=4000
storm_pass 5 "${STORM_SECONDS:-60}" 100
case ${SPEED_SETTINGS:-} in
  *io_grants=off*) expect_eq "$DONE_BY_GRANT" 0 "commands done by grant, which is off" ;;
  *) [ "$DONE_BY_GRANT" -gt 0 ] || die "nothing was done by grant" ;;
esac
