#!/usr/bin/env bash
# A scenario that gives up tells why.
# verdict: fail -- ^on purpose$
source /usr/lib/bulkhead-guest/lib.sh
die "on purpose"
