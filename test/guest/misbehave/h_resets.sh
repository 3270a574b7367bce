#!/usr/bin/env bash
# A reset that nobody has asked for is no second phase.
# verdict: fail -- ^the guest rebooted by itself$
source /usr/lib/bulkhead-guest/lib.sh
expect_eq "$PHASE" start
echo b >/proc/sysrq-trigger
wait_until 60 false
