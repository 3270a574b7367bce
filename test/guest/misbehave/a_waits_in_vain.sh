#!/usr/bin/env bash
# A condition that does not come true fails by its deadline, and is named.
# verdict: fail -- in vain for: test -e /nowhere
source /usr/lib/bulkhead-guest/lib.sh
wait_until 2 test -e /nowhere
