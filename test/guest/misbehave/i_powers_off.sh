#!/usr/bin/env bash
# A machine that goes off in the middle fails the scenario that ran.
# verdict: fail -- ^the machine went off
source /usr/lib/bulkhead-guest/lib.sh
systemctl poweroff --force --force
wait_until 60 false
