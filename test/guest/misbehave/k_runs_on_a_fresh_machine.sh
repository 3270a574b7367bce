#!/usr/bin/env bash
# After all that, the last one still runs.
# verdict: pass
source /usr/lib/bulkhead-guest/lib.sh
expect_eq "$PHASE" start
