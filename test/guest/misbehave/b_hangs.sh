#!/usr/bin/env bash
# A scenario that does not end is ended, though it ignores signals.
# timeout: 5
# verdict: fail -- ^not finished after 5 s$
source /usr/lib/bulkhead-guest/lib.sh
trap '' TERM INT HUP
while :; do sleep 1; done
