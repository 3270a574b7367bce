#!/usr/bin/env bash
# A panic is noticed at once, and the next scenario gets a fresh machine.
# verdict: fail -- Kernel panic
source /usr/lib/bulkhead-guest/lib.sh
echo c >/proc/sysrq-trigger
wait_until 60 false
