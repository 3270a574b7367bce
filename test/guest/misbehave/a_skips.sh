#!/usr/bin/env bash
# A scenario may skip, with a reason.
# verdict: skip -- ^no such hardware$
source /usr/lib/bulkhead-guest/lib.sh
skip "no such hardware"
